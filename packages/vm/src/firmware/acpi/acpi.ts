/**
 * All ACPI tables of a machine as one block of guest memory, the RSDP first (so a kernel that scans the BIOS
 * area finds it too).
 *
 *   base + 0     RSDP     base + 64   DSDT, then FADT, MADT, XSDT, each 64-byte aligned
 */
import { type Dsdt, dsdt } from './dsdt.ts';
import { type Fadt, fadt, type Madt, madt, rsdp, xsdt } from './tables.ts';

export type AcpiConfig = Dsdt & Madt & Omit<Fadt, 'dsdt' | 'keyboardController' | 'realTimeClock'>;

/** @param base where the block will lie: guest-physical, 64-byte aligned, below 1 MiB, reserved in the map */
export function acpiTables(config: AcpiConfig, base: number): Uint8Array {
  const parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  let end = base + 64;
  const place = (bytes: Uint8Array): number => {
    const at = end;
    parts.push({ at, bytes });
    end = Math.ceil((at + bytes.length) / 64) * 64;
    return at;
  };
  const dsdtAt = place(dsdt(config));
  const fadtAt = place(
    fadt({
      ...config,
      dsdt: dsdtAt,
      keyboardController: config.keyboard !== undefined,
      realTimeClock: config.clock !== undefined,
    }),
  );
  const madtAt = place(madt(config));
  const xsdtAt = place(xsdt([fadtAt, madtAt]));
  const block = new Uint8Array(end - base);
  block.set(rsdp(xsdtAt));
  for (const { at, bytes } of parts) block.set(bytes, at - base);
  return block;
}
