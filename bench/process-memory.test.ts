import assert from 'node:assert/strict';
import { test } from 'node:test';
import { proportionalBytes, touchedGuestBytes } from './process-memory.ts';

const WASM_PAGE = 0x10000;

// Not a skip: other systems have no such numbers, and the benchmark leaves them out there.
if (process.platform === 'linux') {
  test('touched pages of a WebAssembly memory are counted, pages that were only read are not', () => {
    const pages = 4321;
    const offset = 100 * WASM_PAGE;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const bytes = new Uint8Array(memory.buffer);
    bytes[0] = 1;
    let sum = 0;
    for (let i = 0; i < 50; i++) {
      bytes[offset + i * 4096] = 1;
      sum += bytes[offset + 1000 * 4096 + i * 4096] ?? 0;
    }
    assert.equal(sum, 0);
    assert.equal(touchedGuestBytes(process.pid, pages * WASM_PAGE, offset), 50 * 4096);
    assert.ok(proportionalBytes(process.pid) > 2 ** 20);
  });
}
