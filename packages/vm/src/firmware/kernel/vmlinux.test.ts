import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { VmError } from '../../base/errors.ts';
import { nodeDecompressor } from '../../host/node/decompressor.ts';
import { decodeLz4Block } from './lz4.ts';
import { extractVmlinux } from './vmlinux.ts';

/** A small ELF64 kernel: one PT_LOAD that covers `content`. */
function elf(content: Uint8Array): Uint8Array {
  const file = new Uint8Array(120 + content.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, 0x1000000n, true);
  view.setBigUint64(32, 64n, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setBigUint64(72, 120n, true);
  view.setBigUint64(88, 0x1000000n, true);
  view.setBigUint64(96, BigInt(content.length), true);
  view.setBigUint64(104, BigInt(content.length), true);
  file.set(content, 120);
  return file;
}

const concat = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function bzImage(payload: Uint8Array): Uint8Array {
  const file = new Uint8Array(5 * 512 + 64 + payload.length + 8);
  const view = new DataView(file.buffer);
  file[0x1f1] = 4;
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint32(0x248, 64, true);
  view.setUint32(0x24c, payload.length, true);
  file.set(payload, 5 * 512 + 64);
  return file;
}

/** An LZ4 block of literals only, then `zeros` zero bytes as one overlapping match, then five last literals. */
function lz4Block(literals: Uint8Array, zeros: number): Uint8Array {
  const length = (n: number): number[] => {
    const bytes: number[] = [];
    let rest = n - 15;
    for (; rest >= 255; rest -= 255) bytes.push(255);
    return [...bytes, rest];
  };
  const head = [0xff, ...length(literals.length + 1)];
  return concat(
    new Uint8Array(head),
    literals,
    new Uint8Array([0, 1, 0, ...length(zeros - 4)]),
    new Uint8Array([0x50, 1, 2, 3, 4, 5]),
  );
}

const content = new Uint8Array(5000).map((_, index) => (index * 7) ^ (index >> 3));
const kernel = elf(content);
const withSize = (compressed: Uint8Array): Uint8Array => concat(compressed, u32(kernel.length));

/** `xz --check=crc32` of `elf(16 × 0xaa)`. */
const XZ_KERNEL_SIZE = 136;
const XZ_KERNEL =
  '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4ACHAChdAD+RRYRoPYmm2orMk+ZQTvSS6L+tVYW5g5IJbJw1O9MK8MX5RnweKwAAquaL7wABQIgBAAAAh0In9T4wDYsCAAAAAAFZWg==';

async function rejectsWith(code: string, file: Uint8Array, message: RegExp): Promise<void> {
  await assert.rejects(extractVmlinux(file, nodeDecompressor), (error) => {
    assert.ok(error instanceof VmError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.notEqual(error.remedy ?? '', '');
    return true;
  });
}

describe('extractVmlinux', () => {
  const extract = (file: Uint8Array): Promise<Uint8Array> => extractVmlinux(file, nodeDecompressor);

  it('takes the vmlinux out of gzip, zstd and xz', async () => {
    assert.deepEqual(await extract(bzImage(gzipSync(kernel))), kernel);
    assert.deepEqual(await extract(bzImage(withSize(zstdCompressSync(kernel)))), kernel);
    const xz = concat(new Uint8Array(Buffer.from(XZ_KERNEL, 'base64')), u32(XZ_KERNEL_SIZE));
    assert.deepEqual(await extract(bzImage(xz)), elf(new Uint8Array(16).fill(0xaa)));
  });

  it('takes it out of legacy LZ4 with several blocks and overlapping matches', async () => {
    const chunk = 8 << 20;
    const plain = elf(
      concat(content, new Uint8Array(chunk - kernel.length - 5), new Uint8Array([1, 2, 3, 4, 5])),
    );
    const expected = concat(plain, new Uint8Array([9, ...new Uint8Array(100), 1, 2, 3, 4, 5]));
    const first = lz4Block(plain.subarray(0, kernel.length), chunk - kernel.length - 6);
    const second = lz4Block(new Uint8Array([9, ...new Uint8Array(30)]), 69);
    const frame = concat(u32(0x184c2102), u32(first.length), first, u32(second.length), second);
    const image = bzImage(concat(frame, u32(expected.length)));
    assert.ok(Buffer.from(await extract(image)).equals(expected));
  });

  it('returns an ELF file itself', async () => {
    assert.equal(await extract(kernel), kernel);
  });

  it('names what is not a kernel', async () => {
    await rejectsWith('KERNEL_NOT_A_KERNEL', new Uint8Array(0), /neither/);
    await rejectsWith('KERNEL_NOT_A_KERNEL', new Uint8Array(4096).fill(0x41), /neither/);
    const disk = bzImage(gzipSync(kernel));
    disk[0x202] = 0;
    await rejectsWith('KERNEL_NOT_A_KERNEL', disk, /boot sector/);
    const arm = kernel.slice();
    arm[18] = 183;
    await rejectsWith('KERNEL_NOT_A_KERNEL', arm, /x86-64/);
  });

  it('refuses every truncation and a payload that changed', async () => {
    for (const payload of [gzipSync(kernel), withSize(zstdCompressSync(kernel))]) {
      const image = bzImage(payload);
      for (const length of [0x210, 600, 5 * 512, image.length - 400, image.length - 9]) {
        await rejectsWith('KERNEL_CORRUPT', image.subarray(0, length), /./);
      }
    }
    const image = bzImage(withSize(zstdCompressSync(kernel)));
    for (let at = 5 * 512 + 64 + 20; at < image.length - 12; at += 97) {
      const damaged = image.slice();
      damaged[at] = (damaged[at] as number) ^ 0x10;
      await extract(damaged).then(
        (vmlinux) => assert.equal(vmlinux.length, kernel.length),
        (error) => assert.equal((error as VmError).code, 'KERNEL_CORRUPT'),
      );
    }
    await rejectsWith('KERNEL_CORRUPT', bzImage(concat(gzipSync(kernel).subarray(0, -4), u32(5))), /./);
    await rejectsWith(
      'KERNEL_CORRUPT',
      bzImage(concat(u32(0x184c2102), u32(0xffffffff), u32(0x7fffffff))),
      /claims/,
    );
    await rejectsWith('KERNEL_CORRUPT', bzImage(new Uint8Array(64).fill(1)), /not known/);
    await rejectsWith('KERNEL_CORRUPT', kernel.subarray(0, 200), /ends at byte/);
  });
});

describe('decodeLz4Block', () => {
  it('never leaves its bounds, whatever the input', () => {
    const target = new Uint8Array(300);
    let seed = 1;
    for (let round = 0; round < 20_000; round++) {
      const block = new Uint8Array(1 + (round % 40));
      for (let at = 0; at < block.length; at++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        block[at] = seed >>> 16;
      }
      target.fill(0xee);
      const end = decodeLz4Block(block, 0, block.length, target.subarray(0, 200), 50);
      assert.ok(end === -1 || (end >= 50 && end <= 200));
      assert.ok(target.subarray(0, 50).every((byte) => byte === 0xee));
      assert.ok(target.subarray(200).every((byte) => byte === 0xee));
    }
  });
});
