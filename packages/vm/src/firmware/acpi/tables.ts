/**
 * The fixed-layout tables of a hardware-reduced machine (ACPI 6.4 chapter 5): RSDP, XSDT, FADT, MADT. Each
 * writer returns the finished bytes with its checksum.
 */
const OEM_ID = 'VIVARM';
const OEM_TABLE_ID = 'VIVARIUM';

export interface Madt {
  readonly vcpus: number;
  readonly localApicAddress: number;
  readonly ioApic: { readonly id: number; readonly address: number; readonly gsiBase: number };
  /** Multiprocessor wakeup mailbox (5.2.12.19); absent with one vCPU. */
  readonly wakeupMailbox?: number;
}

export interface Fadt {
  readonly dsdt: number;
  /** 8-bit port: write 1 to reset. */
  readonly resetPort: number;
  /** 8-bit ports. */
  readonly sleepControlPort: number;
  readonly sleepStatusPort: number;
  /** What exists and may be probed. */
  readonly keyboardController: boolean;
  readonly realTimeClock: boolean;
}

/** Makes the bytes [start, end) sum to zero by setting the byte at `at`. */
function setChecksum(bytes: Uint8Array, at: number, start: number, end: number): void {
  bytes[at] = 0;
  let sum = 0;
  for (const byte of bytes.subarray(start, end)) sum += byte;
  bytes[at] = -sum & 0xff;
}

function putText(bytes: Uint8Array, offset: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[offset + i] = text.charCodeAt(i);
}

/** A table: 36 bytes of header (5.2.6), then `body`. */
export function systemTable(signature: string, revision: number, body: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(36 + body.length);
  const view = new DataView(bytes.buffer);
  putText(bytes, 0, signature);
  view.setUint32(4, bytes.length, true);
  bytes[8] = revision;
  putText(bytes, 10, OEM_ID);
  putText(bytes, 16, OEM_TABLE_ID);
  view.setUint32(24, 1, true);
  putText(bytes, 28, 'VIVA');
  view.setUint32(32, 1, true);
  bytes.set(body, 36);
  setChecksum(bytes, 9, 0, bytes.length);
  return bytes;
}

export function rsdp(xsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = new DataView(bytes.buffer);
  putText(bytes, 0, 'RSD PTR ');
  putText(bytes, 9, OEM_ID);
  bytes[15] = 2;
  view.setUint32(20, 36, true);
  view.setBigUint64(24, BigInt(xsdtAddress), true);
  setChecksum(bytes, 8, 0, 20);
  setChecksum(bytes, 32, 0, 36);
  return bytes;
}

export function xsdt(tables: readonly number[]): Uint8Array {
  return systemTable('XSDT', 1, new Uint8Array(new BigUint64Array(tables.map(BigInt)).buffer));
}

const FADT_PWR_BUTTON = 1 << 4;
const FADT_SLP_BUTTON = 1 << 5;
const FADT_RESET_REG_SUP = 1 << 10;
const FADT_HW_REDUCED = 1 << 20;
const BOOT_8042 = 1 << 1;
const BOOT_NO_VGA = 1 << 2;
const BOOT_NO_RTC = 1 << 5;

/** PWR_BUTTON and SLP_BUTTON set mean: no such fixed-hardware buttons. */
export function fadt(config: Fadt): Uint8Array {
  const bytes = new Uint8Array(276 - 36);
  const view = new DataView(bytes.buffer);
  const at = (offset: number): number => offset - 36;
  const port8 = (offset: number, port: number): void => {
    bytes.set([1, 8, 0, 1], at(offset));
    view.setBigUint64(at(offset + 4), BigInt(port), true);
  };
  const boot = (config.realTimeClock ? 0 : BOOT_NO_RTC) | (config.keyboardController ? BOOT_8042 : 0);
  view.setUint16(at(109), BOOT_NO_VGA | boot, true);
  view.setUint32(at(112), FADT_HW_REDUCED | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP, true);
  port8(116, config.resetPort);
  bytes[at(128)] = 1;
  bytes[at(131)] = 4;
  view.setBigUint64(at(140), BigInt(config.dsdt), true);
  port8(244, config.sleepControlPort);
  port8(256, config.sleepStatusPort);
  putText(bytes, at(268), OEM_TABLE_ID);
  return systemTable('FACP', 6, bytes);
}

export function madt(config: Madt): Uint8Array {
  const size = 8 + 8 * config.vcpus + 12 + (config.wakeupMailbox === undefined ? 0 : 16);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, config.localApicAddress, true);
  let at = 8;
  for (let i = 0; i < config.vcpus; i++) {
    bytes.set([0, 8, i, i, 1], at);
    at += 8;
  }
  bytes.set([1, 12, config.ioApic.id], at);
  view.setUint32(at + 4, config.ioApic.address, true);
  view.setUint32(at + 8, config.ioApic.gsiBase, true);
  at += 12;
  if (config.wakeupMailbox !== undefined) {
    bytes.set([16, 16], at);
    view.setBigUint64(at + 8, BigInt(config.wakeupMailbox), true);
  }
  return systemTable('APIC', 5, bytes);
}
