/** Kernel payloads that outside programs compressed, as a kernel's own build does. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { bzImage, elfKernel } from '../../../../../test/support/elf.ts';
import { missing } from '../../../../../test/support/needs.ts';
import { nodeDecompressor } from '../../host/node/decompressor.ts';
import { extractVmlinux } from './vmlinux.ts';

/** Dense in CALL and JMP opcodes and in sign bytes, so that every path of the x86 filter is taken. */
function machineCode(length: number): Uint8Array {
  const alphabet = [0xe8, 0xe9, 0xe8, 0x00, 0xff, 0x00, 0xff, 0x0f, 0x90, 0x41, 0x7f, 0x80];
  const code = new Uint8Array(length);
  let seed = 12345;
  for (let at = 0; at < length; at++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    code[at] = seed >>> 31 === 0 ? (alphabet[(seed >>> 8) % alphabet.length] as number) : seed >>> 23;
  }
  return code;
}

const size = (length: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
};

describe('kernels compressed by outside programs', () => {
  const kernel = elfKernel(machineCode(1_000_000));
  const compress = (program: string, ...args: string[]): Buffer =>
    execFileSync(program, args, { input: kernel, maxBuffer: 1 << 26, stdio: ['pipe', 'pipe', 'ignore'] });
  const check = async (payload: Buffer): Promise<void> => {
    const file = bzImage(Buffer.concat([payload, size(kernel.length)]));
    assert.ok(kernel.equals(await extractVmlinux(file, nodeDecompressor)));
  };

  it('xz with the x86 filter', { skip: missing('xz') }, async () => {
    await check(compress('xz', '--check=crc32', '--x86', '--lzma2=dict=32MiB', '-c'));
  });
  it('xz with the x86 filter, the longest dictionary and data that do not compress', {
    skip: missing('xz'),
  }, async () => {
    await check(
      compress('xz', '--check=crc32', '--x86', '--lzma2=dict=64KiB,lc=4,mode=fast,nice=8', '-0', '-c'),
    );
  });
  it('xz without a filter', { skip: missing('xz') }, async () => {
    await check(compress('xz', '--check=crc32', '-c'));
  });
  it('xz that changed', { skip: missing('xz') }, async () => {
    const payload = compress('xz', '--check=crc32', '--x86', '--lzma2=dict=32MiB', '-c');
    for (const at of [200, payload.length >> 2, payload.length >> 1]) {
      const changed = Buffer.from(payload);
      changed[at] = (changed[at] as number) ^ 4;
      const file = bzImage(Buffer.concat([changed, size(kernel.length)]));
      await assert.rejects(extractVmlinux(file, nodeDecompressor), { code: 'KERNEL_CORRUPT' });
    }
    const cut = bzImage(Buffer.concat([payload.subarray(0, payload.length >> 1), size(kernel.length)]));
    await assert.rejects(extractVmlinux(cut, nodeDecompressor), { code: 'KERNEL_CORRUPT' });
  });
  it('zstd with a long window', { skip: missing('zstd') }, async () => {
    await check(compress('zstd', '-19', '--long=27', '-c'));
  });
  it('lz4 in the legacy format', { skip: missing('lz4') }, async () => {
    await check(compress('lz4', '-l', '-9', '-c'));
  });
});
