/**
 * The DSDT: every device that cannot be found otherwise. Linux's virtio_mmio binds to `LNRO0005`, its serial
 * driver to `PNP0501`; a Generic Event Device turns one interrupt into the power button.
 */
import {
  type Aml,
  and,
  aPackage,
  bytePort,
  define,
  device,
  edgeInterrupt,
  eisaId,
  integer,
  ioPorts,
  local0,
  memory32Fixed,
  method,
  name,
  notify,
  resources,
  scope,
  store,
  string,
  when,
} from './aml.ts';
import { systemTable } from './tables.ts';

export interface Dsdt {
  readonly virtio: readonly { readonly base: number; readonly size: number; readonly gsi: number }[];
  readonly serial?: { readonly port: number; readonly gsi: number };
  readonly keyboard?: { readonly gsi: number };
  readonly clock?: { readonly port: number; readonly gsi: number };
  /** Events of the machine: on interrupt `gsi`, reading the 8-bit `port` takes them. */
  readonly events?: { readonly gsi: number; readonly port: number; readonly powerButtonBit: number };
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

function powerButton(events: NonNullable<Dsdt['events']>): Aml {
  const pressed = and(local0, integer(events.powerButtonBit));
  return [
    ...device('PWRB', define('_HID', eisaId('PNP0C0C')), define('_UID', integer(0))),
    ...device(
      'GED_',
      define('_HID', string('ACPI0013')),
      define('_UID', integer(0)),
      define('_CRS', resources(edgeInterrupt(events.gsi))),
      bytePort('EVTR', 'EVTS', events.port),
      method('_EVT', 1, true, store(name('EVTS'), local0), when(pressed, notify('\\_SB_.PWRB', 0x80))),
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
  if (config.clock !== undefined) {
    devices.push(
      device(
        'RTC_',
        define('_HID', eisaId('PNP0B00')),
        define('_CRS', resources(ioPorts(config.clock.port, 2), edgeInterrupt(config.clock.gsi))),
      ),
    );
  }
  if (config.events !== undefined) devices.push(powerButton(config.events));
  return systemTable('DSDT', 6, [
    ...scope('\\_SB_', ...devices),
    ...define('_S5_', aPackage(integer(5), integer(5), integer(0), integer(0))),
  ]);
}
