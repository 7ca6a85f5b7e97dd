import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { missing } from '../../../../../test/support/needs.ts';
import { type AcpiConfig, acpiTables } from './acpi.ts';
import { buffer, eisaId, integer, name, scope } from './aml.ts';

const BASE = 0xe0000;
const config: AcpiConfig = {
  vcpus: 2,
  localApicAddress: 0xfee00000,
  ioApic: { id: 0, address: 0xfec00000, gsiBase: 0 },
  wakeupMailbox: 0x9e000,
  resetPort: 0x600,
  sleepControlPort: 0x600,
  sleepStatusPort: 0x601,
  virtio: [
    { base: 0xc0001000, size: 0x1000, gsi: 5 },
    { base: 0xc0002000, size: 0x1000, gsi: 6 },
  ],
  serial: { port: 0x3f8, gsi: 4 },
  keyboard: { gsi: 1 },
  clock: { port: 0x70, gsi: 8 },
  events: { gsi: 9, port: 0x604, powerButtonBit: 8 },
};

/** Follows the pointers a kernel follows. */
function walk(block: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(block.buffer, block.byteOffset);
  const tableAt = (gpa: number): Uint8Array => {
    const at = gpa - BASE;
    return block.subarray(at, at + view.getUint32(at + 4, true));
  };
  const signature = (t: Uint8Array): string => String.fromCharCode(...t.subarray(0, 4));
  const tables = new Map<string, Uint8Array>([['RSDP', block.subarray(0, 36)]]);
  const xsdt = tableAt(Number(view.getBigUint64(24, true)));
  tables.set('XSDT', xsdt);
  for (let i = 36; i < xsdt.length; i += 8) {
    const t = tableAt(Number(new DataView(xsdt.buffer, xsdt.byteOffset).getBigUint64(i, true)));
    tables.set(signature(t), t);
  }
  const facp = tables.get('FACP');
  assert(facp);
  const d = tableAt(Number(new DataView(facp.buffer, facp.byteOffset).getBigUint64(140, true)));
  tables.set(signature(d), d);
  return tables;
}

test('every table is reachable from the RSDP and sums to zero', () => {
  const tables = walk(acpiTables(config, BASE));
  assert.deepEqual([...tables.keys()], ['RSDP', 'XSDT', 'FACP', 'APIC', 'DSDT']);
  for (const [name, bytes] of tables) {
    assert.equal(bytes.reduce((a, b) => a + b, 0) & 0xff, 0, name);
  }
  assert.equal(tables.get('FACP')?.length, 276);
  assert.equal(tables.get('APIC')?.length, 44 + 2 * 8 + 12 + 16);
});

test('AML package lengths count themselves at every width', () => {
  assert.deepEqual(scope('A', new Array<number>(58).fill(1)).slice(0, 2), [0x10, 63]);
  assert.deepEqual(scope('A', new Array<number>(59).fill(1)).slice(0, 3), [0x10, 0x41, 0x04]);
  const long = buffer(new Array<number>(5000).fill(0));
  const total = (long[1]! & 0xf) | (long[2]! << 4) | (long[3]! << 12);
  assert.deepEqual([long[1]! >> 6, total], [2, long.length - 1]);
});

test('names, integers and plug-and-play ids encode as the specification shows', () => {
  assert.deepEqual(name('\\_SB_.PWRB'), [0x5c, 0x2e, ...Buffer.from('_SB_PWRB')]);
  assert.deepEqual(integer(0x1_0000_0000), [0x0e, 0, 0, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(eisaId('PNP0501'), [0x0c, 0x41, 0xd0, 0x05, 0x01]);
});

test('the wakeup mailbox is a MADT entry of type 16', () => {
  const entry = walk(acpiTables(config, BASE)).get('APIC')?.subarray(-16);
  assert.deepEqual([...(entry ?? [])], [16, 16, 0, 0, 0, 0, 0, 0, 0, 0xe0, 9, 0, 0, 0, 0, 0]);
});

/** Debian 12's iasl predates MADT type 16. */
const { wakeupMailbox: _, ...withoutMailbox } = config;
test('iasl disassembles the tables and finds what we meant', {
  skip: missing('iasl'),
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'viv-acpi-'));
  try {
    const sources: string[] = [];
    for (const [name, bytes] of walk(acpiTables(withoutMailbox, BASE))) {
      if (name === 'RSDP') continue;
      const file = join(folder, `${name}.dat`);
      writeFileSync(file, bytes);
      const log = execFileSync('iasl', ['-d', file], { encoding: 'utf8', stdio: 'pipe' });
      assert.doesNotMatch(log, /Invalid|Error|Warning/i, name);
      sources.push(readFileSync(join(folder, `${name}.dsl`), 'utf8'));
    }
    const text = sources
      .join('\n')
      .replace(/[ \t]+/g, ' ')
      .replace(/ *\/\/.*$/gm, '');
    const expected: readonly RegExp[] = [
      /Device \(V001\) \{ Name \(_HID, "LNRO0005"\) Name \(_UID, One\) Name \(_CCA, One\) Name \(_CRS, ResourceTemplate \(\) \{ Memory32Fixed \(ReadWrite, 0xC0002000, 0x00001000, \) Interrupt \(ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, \) \{ 0x00000006, \} \}\) \}/,
      /Device \(COM1\) \{ Name \(_HID, EisaId \("PNP0501"\)/,
      /IO \(Decode16, 0x0064, 0x0064, 0x01, 0x01, \)/,
      /OperationRegion \(EVTR, SystemIO, 0x0604, One\) Field \(EVTR, ByteAcc, NoLock, Preserve\) \{ EVTS, 8 \}/,
      /Method \(_EVT, 1, Serialized\) \{ Local0 = EVTS .{0,40}If \(\(Local0 & 0x08\)\) \{ Notify \(\\_SB.PWRB, 0x80\) \} \}/,
      /Name \(_S5, Package \(0x04\) \{ 0x05, 0x05, Zero, Zero \}\)/,
      /Hardware Reduced \(V5\) : 1/,
      /Reset Register Supported \(V2\) : 1/,
      /Subtable Type : 01 \[I\/O APIC\] \[\w+ \d+ 1\] Length : 0C .{0,80}Address : FEC00000/,
    ];
    const flat = text.replace(/\s+/g, ' ');
    for (const pattern of expected) assert.match(flat, pattern);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
