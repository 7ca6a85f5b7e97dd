/**
 * The DSDT: every device that cannot be found otherwise. Linux's virtio_mmio binds to `LNRO0005`, its serial
 * driver to `PNP0501`; a Generic Event Device turns one interrupt into the power button.
 */
import {
  type Aml,
  aPackage,
  arg,
  define,
  device,
  edgeInterrupt,
  eisaId,
  equal,
  integer,
  ioPorts,
  memory32Fixed,
  method,
  notify,
  resources,
  scope,
  string,
  when,
} from './aml.ts';
import { systemTable } from './tables.ts';

export interface Dsdt {
  readonly virtio: readonly { readonly base: number; readonly size: number; readonly gsi: number }[];
  readonly serial?: { readonly port: number; readonly gsi: number };
  readonly keyboard?: { readonly gsi: number };
  /** Interrupt that means: the power button was pressed. */
  readonly powerButtonGsi?: number;
}

function virtioMmio(slot: Dsdt['virtio'][number], index: number): Aml {
  return device(
    `V${index.toString(16).toUpperCase().padStart(3, '0')}`,
    define('_HID', string('LNRO0005')),
    define('_UID', integer(index)),
    define('_CCA', integer(1)),
    define('_CRS', resources(memory32Fixed(slot.base, slot.size), edgeInterrupt(slot.gsi))),
  );
}

function powerButton(gsi: number): Aml {
  return [
    ...device('PWRB', define('_HID', eisaId('PNP0C0C')), define('_UID', integer(0))),
    ...device(
      'GED_',
      define('_HID', string('ACPI0013')),
      define('_UID', integer(0)),
      define('_CRS', resources(edgeInterrupt(gsi))),
      method('_EVT', 1, true, when(equal(arg(0), integer(gsi)), notify('\\_SB_.PWRB', 0x80))),
    ),
  ];
}

export function dsdt(config: Dsdt): Uint8Array {
  const devices: Aml[] = config.virtio.map(virtioMmio);
  if (config.serial !== undefined) {
    devices.push(
      device(
        'COM1',
        define('_HID', eisaId('PNP0501')),
        define('_UID', integer(0)),
        define('_CRS', resources(ioPorts(config.serial.port, 8), edgeInterrupt(config.serial.gsi))),
      ),
    );
  }
  if (config.keyboard !== undefined) {
    devices.push(
      device(
        'KBD_',
        define('_HID', eisaId('PNP0303')),
        define('_CRS', resources(ioPorts(0x60, 1), ioPorts(0x64, 1), edgeInterrupt(config.keyboard.gsi))),
      ),
    );
  }
  if (config.powerButtonGsi !== undefined) devices.push(powerButton(config.powerButtonGsi));
  return systemTable('DSDT', 6, [
    ...scope('\\_SB_', ...devices),
    ...define('_S5_', aPackage(integer(5), integer(5), integer(0), integer(0))),
  ]);
}
