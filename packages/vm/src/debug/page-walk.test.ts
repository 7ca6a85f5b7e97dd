import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layoutMemory } from '../machine/layout.ts';
import { GuestMemory } from '../machine/memory.ts';
import { resetVcpu } from '../machine/vcpu-reset.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import { pagesOf, translate } from './page-walk.ts';

const layout = layoutMemory(1 << 20);
const memory = new GuestMemory(new SharedArrayBuffer(layout.wasmPages * 0x10000), layout, []);
const NX = 0x8000_0000;

function entry(table: number, index: number, low: number, high = 0): void {
  memory.writeUint(table + index * 8, 4, low);
  memory.writeUint(table + index * 8 + 4, 4, high);
}

// 4-level: 4 KiB, 2 MiB and 1 GiB pages below 512 GiB, the kernel's half at index 511, a table outside RAM.
entry(0x1000, 0, 0x2003);
entry(0x1000, 511, 0x2003);
entry(0x1000, 1, 0xfff00003);
entry(0x2000, 0, 0x3003);
entry(0x2000, 1, 0xc0000083, NX);
entry(0x3000, 0, 0x4003);
entry(0x3000, 1, 0x00600083);
entry(0x4000, 5, 0x00077003, NX);
entry(0x4000, 6, 0x00088002);
// PAE: page directory pointers at 0x5020, and 5-level: one more table above.
entry(0x5020, 3, 0x3001);
entry(0x6000, 0, 0x1003);

const long: VcpuRecord = { ...resetVcpu(0), cr0: 0x8000_0001n, cr3: 0x1018n, cr4: 0x20n, efer: 0x500n };
const pae: VcpuRecord = { ...long, cr3: 0x5020n, efer: 0n };
const la57: VcpuRecord = { ...long, cr3: 0x6000n, cr4: 0x1020n };

test('every page size and mode translates, what is not mapped does not', () => {
  const rows: readonly (readonly [VcpuRecord, bigint, number | undefined])[] = [
    [resetVcpu(0), 0x1_0000_1234n, 0x1234],
    [long, 0x5abcn, 0x77abc],
    [long, 0x6000n, undefined],
    [long, 0x7000n, undefined],
    [long, 0x345678n, 0x745678],
    [long, 0x7fff_ffffn, 0xffff_ffff],
    [long, 0xffff_ff80_0000_5000n, 0x77000],
    [long, 0x80_0000_0000n, undefined],
    [pae, 0xc000_5abcn, 0x77abc],
    [pae, 0x5abcn, undefined],
    [la57, 0x5abcn, 0x77abc],
  ];
  for (const [cpu, address, gpa] of rows) {
    assert.equal(translate(memory, cpu, address), gpa, address.toString(16));
  }
});

test('ranges split at page borders and wrap at the end of the address space', () => {
  assert.deepEqual(
    [...pagesOf(0xffff_ffff_ffff_fffen, 0x1003)],
    [
      { address: 0xffff_ffff_ffff_fffen, length: 2 },
      { address: 0n, length: 0x1000 },
      { address: 0x1000n, length: 1 },
    ],
  );
});
