import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from './explain.ts';

function lines(mode: 0 | 1 | 2, hex: string, address = 0x400000n): string[] {
  return explain({ address, mode, bytes: Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')) });
}

test('a block is shown with its micro-operations, the first instruction with row and statements', () => {
  const text = lines(2, 'f0 48 01 4c c3 10 65 48 8b 04 25 00 00 00 00 c3');
  const listing = text.map((line) => line.trim());
  assert.ok(
    listing.includes('0x400000  f0 48 01 4c c3 10              lock add qword ptr [rbx+rax*8+0x10], rcx'),
  );
  assert.equal(listing[listing.findIndex((l) => l.startsWith('0x400000  f0')) - 1], 'FENCE:');
  assert.ok(
    listing.some((l) => /^ADDRESS:/.test(l)),
    'a segment base is added by a micro-operation',
  );
  assert.ok(listing.includes('0x40000f  c3                             ret'));
  assert.ok(listing.includes('row:      ADD Ev:rw,Gv | 01 /r | lock w=oszapc'));
  assert.ok(listing.some((l) => /^wasm: +[1-9]\d+ bytes/.test(l)));
  assert.ok(listing.some((l) => l.startsWith('FLAG_RESULT = ')));
  assert.ok(listing.includes('l6 = reg(rec.REG)'));
});

test('statements name registers, segments and nested blocks', () => {
  const text = lines(1, 'd9 c1');
  assert.ok(text.includes('  if ((l0 & 0x80) != 0)'));
  assert.ok(text.includes('    FAULT = 0x10'));
  assert.ok(lines(1, '50').some((line) => line.includes('SS.base')));
});

test('bytes that are no instruction are said to be none', () => {
  assert.equal(lines(2, '06').at(-1), 'no instruction: #UD');
});
