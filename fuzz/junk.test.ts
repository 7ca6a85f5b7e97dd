import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzJunk } from './junk.ts';

test('random bytes as a kernel end with an exit and a state that can be saved', async () => {
  const { ends, instructions } = await fuzzJunk(300, 20261123);
  assert.ok((ends['stopped'] ?? 0) > 0);
  assert.ok((ends['shutdown'] ?? 0) > 0);
  assert.ok(instructions > 100_000n);
});

test('with every block translated they end as on the interpreter', async () => {
  const result = await fuzzJunk(200, 20261124, { tier: 'always' });
  assert.deepEqual(result.differences, []);
  assert.ok(result.compared > 10, `only ${result.compared} compared`);
});
