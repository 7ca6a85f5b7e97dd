import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selection } from './selection.ts';

const known = { a: ['fib', 'chase 1 MiB', 'chase 16 MiB'], b: ['boot to /init'] };

test('without --only everything is selected', () => {
  assert.equal(selection(undefined, known)('anything'), true);
});

test('whole names and first words select', () => {
  const chases = selection('fib,chase', known);
  assert.deepEqual(Object.values(known).flat().map(chases), [true, true, true, false]);
  const one = selection('chase 1 MiB', known);
  assert.deepEqual(Object.values(known).flat().map(one), [false, true, false, false]);
});

test('a name that is not there is an error that lists what is', () => {
  assert.throws(() => selection('fob', known), /--only fob.*fib, chase 1 MiB, chase 16 MiB, boot to/);
});
