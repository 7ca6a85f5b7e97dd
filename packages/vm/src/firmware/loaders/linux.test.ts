import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../base/error-codes.ts';
import { VmError } from '../../base/errors.ts';
import { layoutMemory } from '../../machine/layout.ts';
import { ACPI_TABLES, type BootImage, COMMAND_LINE, START_INFO, ZERO_PAGE } from './boot-memory.ts';
import { loadLinux } from './linux.ts';

const layout = layoutMemory(128 << 20);
const GPA = 0x1000000;

/** A vmlinux of one segment (256 bytes in the file, 4096 in memory) and, with `entry`, a PVH note. */
function vmlinux(entry?: { bytes: 4 | 8 }): Uint8Array {
  const file = new Uint8Array(0x400);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, BigInt(GPA), true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const header = (at: number, type: number, offset: number, fileBytes: number, memory: number): void => {
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 24, BigInt(GPA), true);
    view.setBigUint64(at + 32, BigInt(fileBytes), true);
    view.setBigUint64(at + 40, BigInt(memory), true);
  };
  header(64, 1, 0x200, 256, 4096);
  header(120, 4, 0x300, entry ? 20 + entry.bytes - 4 : 0, 0);
  file.fill(0xcc, 0x200, 0x300);
  view.setUint32(0x300, 4, true);
  view.setUint32(0x304, entry?.bytes ?? 0, true);
  view.setUint32(0x308, 18, true);
  file.set(Buffer.from('Xen\0'), 0x30c);
  view.setUint32(0x310, 0x1000850, true);
  return file;
}

function bzImage(): Uint8Array {
  const file = new Uint8Array(0x600 + 0x1000);
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, 2);
  view.setUint32(0x1f4, 0x100, true);
  view.setUint8(0x201, 0x268 - 0x202);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint32(0x22c, 0x7fffffff, true);
  view.setUint16(0x236, 0x7f, true);
  view.setBigUint64(0x258, BigInt(GPA), true);
  view.setUint32(0x260, 0x200000, true);
  return file;
}

function at(image: BootImage, gpa: number): DataView {
  const piece = image.pieces.find((p) => p.gpa === gpa);
  assert(piece, `nothing at 0x${gpa.toString(16)}`);
  return new DataView(piece.bytes.buffer, piece.bytes.byteOffset, piece.bytes.byteLength);
}

test('PVH: start info points at the module, the command line, the RSDP and the map', () => {
  for (const bytes of [4, 8] as const) {
    const initrd = new Uint8Array(5000);
    const image = loadLinux({ kernel: vmlinux({ bytes }), initrd, cmdline: 'console=ttyS0', layout });
    assert.equal(image.protocol, 'pvh');
    assert.equal(image.vcpu.rip, 0x1000850n);
    assert.equal(image.vcpu.gpr[3], BigInt(START_INFO));
    const info = at(image, START_INFO);
    assert.equal(info.getUint32(0, true), 0x336ec578);
    assert.equal(info.getBigUint64(32, true), BigInt(ACPI_TABLES));
    const module = at(image, Number(info.getBigUint64(16, true)));
    const initrdAt = Number(module.getBigUint64(0, true));
    assert.equal(initrdAt, (128 << 20) - 8192);
    assert.equal(at(image, initrdAt).byteLength, 5000);
    const cmdline = at(image, Number(info.getBigUint64(24, true)));
    assert.equal(Buffer.from(cmdline.buffer).toString(), 'console=ttyS0\0');
    const map = at(image, Number(info.getBigUint64(40, true)));
    assert.equal(map.byteLength, 24 * info.getUint32(48, true));
    assert.deepEqual(
      [map.getBigUint64(48, true), map.getBigUint64(56, true), map.getUint32(64, true)],
      [0x100000n, 127n << 20n, 1],
    );
    assert.equal(image.pieces.find((p) => p.gpa === GPA)?.zeros, 4096 - 256);
  }
});

test('a vmlinux without a note and a bzImage start in long mode with a zero page', () => {
  for (const [kernel, entry] of [
    [vmlinux(), GPA],
    [bzImage(), GPA + 0x200],
  ] as const) {
    const image = loadLinux({ kernel, initrd: new Uint8Array(100), cmdline: 'quiet', layout });
    assert.equal(image.protocol, 'linux64');
    assert.equal(image.vcpu.rip, BigInt(entry));
    assert.equal(image.vcpu.gpr[6], BigInt(ZERO_PAGE));
    const zero = at(image, ZERO_PAGE);
    assert.deepEqual(
      [
        zero.getUint32(0x202, true),
        zero.getUint8(0x1e8),
        zero.getUint32(0x228, true),
        zero.getUint32(0x21c, true),
      ],
      [0x53726448, 3, COMMAND_LINE, 100],
    );
    const tables = at(image, Number(image.vcpu.cr3));
    const pde = Number(tables.getBigUint64(0x2000 + 8 * (GPA >> 21), true));
    assert.equal(pde, GPA | 0x83);
  }
});

test('memory above the hole goes into the map at 4 GiB', () => {
  const image = loadLinux({
    kernel: vmlinux({ bytes: 8 }),
    cmdline: '',
    layout: layoutMemory(0xc0000000 + (256 << 20)),
  });
  const map = at(image, 0x7000);
  assert.deepEqual(
    [map.byteLength / 24, map.getBigUint64(72, true), map.getBigUint64(80, true)],
    [4, 0x1_0000_0000n, 256n << 20n],
  );
});

test('bad kernels, command lines and sizes are named', () => {
  const cut = vmlinux({ bytes: 8 });
  const i386 = vmlinux({ bytes: 8 });
  i386[18] = 3;
  const bz32 = bzImage();
  bz32[0x236] = 0;
  const cases: readonly (readonly [ErrorCode, Parameters<typeof loadLinux>[0]])[] = [
    ['KERNEL_NOT_A_KERNEL', { kernel: Buffer.from('hello'), cmdline: '', layout }],
    ['KERNEL_NOT_A_KERNEL', { kernel: new Uint8Array(0), cmdline: '', layout }],
    ['KERNEL_NOT_A_KERNEL', { kernel: i386, cmdline: '', layout }],
    ['KERNEL_NOT_A_KERNEL', { kernel: bz32, cmdline: '', layout }],
    ['KERNEL_CORRUPT', { kernel: cut.subarray(0, 40), cmdline: '', layout }],
    ['KERNEL_CORRUPT', { kernel: cut.subarray(0, 0x280), cmdline: '', layout }],
    ['KERNEL_CORRUPT', { kernel: bzImage().subarray(0, 0x800), cmdline: '', layout }],
    ['MEMORY_TOO_SMALL', { kernel: vmlinux({ bytes: 8 }), cmdline: '', layout: layoutMemory(8 << 20) }],
    [
      'MEMORY_TOO_SMALL',
      { kernel: vmlinux({ bytes: 8 }), initrd: new Uint8Array(120 << 20), cmdline: '', layout },
    ],
    ['USAGE', { kernel: vmlinux({ bytes: 8 }), cmdline: 'a\nb', layout }],
    ['USAGE', { kernel: vmlinux({ bytes: 8 }), cmdline: 'x'.repeat(2048), layout }],
  ];
  for (const [code, boot] of cases) {
    assert.throws(
      () => loadLinux(boot),
      (e: unknown) => e instanceof VmError && e.code === code && e.remedy !== undefined,
      code,
    );
  }
});

test('no prefix and no single damaged byte of the headers makes the loader throw anything else', () => {
  for (const whole of [vmlinux({ bytes: 8 }), bzImage()]) {
    const attempt = (kernel: Uint8Array): void => {
      try {
        loadLinux({ kernel, cmdline: '', layout });
      } catch (error) {
        assert(error instanceof VmError, String(error));
      }
    };
    for (let length = 0; length < whole.length; length++) attempt(whole.slice(0, length));
    for (let i = 0; i < 0x320; i++) {
      for (const value of [0, 0x7f, 0xff]) attempt(whole.with(i, value));
    }
  }
});
