/** A kernel of a few bytes: a vmlinux whose PVH entry runs `code` in 32-bit mode. */
const LOAD = 0x100000;

export function tinyKernel(code: readonly number[]): Uint8Array {
  const file = new Uint8Array(0x400);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  for (const [at, type, offset, size] of [
    [64, 1, 0x200, code.length],
    [120, 4, 0x380, 20],
  ] as const) {
    view.setUint32(at, type, true);
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 24, BigInt(LOAD), true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setBigUint64(at + 40, BigInt(size), true);
  }
  file.set(code, 0x200);
  // Note: name size 4, descriptor size 4, type 18, "Xen", entry.
  new Uint32Array(file.buffer, 0x380, 5).set([4, 4, 18, 0x006e6558, LOAD]);
  return file;
}

/** out dx, al */
const outByte = (port: number, value: number): number[] => [
  0x66,
  0xba,
  port & 0xff,
  port >> 8,
  0xb0,
  value,
  0xee,
];

type Behaviour = 'powerOff' | 'reset' | 'spin' | 'halt' | 'crash' | 'nowhere' | 'flood' | 'count';

export const CODE: Readonly<Record<Behaviour, readonly number[]>> = {
  powerOff: [...outByte(0x600, 0x34), 0xf4, 0xeb, 0xfd],
  reset: [...outByte(0x600, 1), 0xf4, 0xeb, 0xfd],
  /** cli; jmp . */
  spin: [0xfa, 0xeb, 0xfe],
  /** cli; hlt; jmp back */
  halt: [0xfa, 0xf4, 0xeb, 0xfd],
  /** ud2 without an interrupt table: a triple fault. */
  crash: [0x0f, 0x0b],
  /** jmp to where nothing is: 0xd0000000. */
  nowhere: [0xb8, 0, 0, 0, 0xd0, 0xff, 0xe0],
  /** mov $0x200000, %ebx; 1: incl (%ebx); jmp 1b */
  count: [0xbb, 0, 0, 0x20, 0, 0xff, 0x03, 0xeb, 0xfc],
  /** Writes 'x' to the serial port without end. */
  flood: [0x66, 0xba, 0xf8, 0x03, 0xb0, 0x78, 0xee, 0xeb, 0xfd],
};
