import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EscapeFilter } from './escape.ts';

/** Feeds each part on its own. @returns what the guest saw, and whether the user quit */
function feed(...parts: readonly string[]): string {
  const filter = new EscapeFilter();
  let seen = '';
  for (const part of parts) {
    const { bytes, quit } = filter.push(Buffer.from(part, 'latin1'));
    seen += Buffer.from(bytes).toString('latin1');
    if (quit) return `${seen}<quit>`;
  }
  return seen;
}

test('ordinary bytes and Ctrl-C pass', () => {
  assert.equal(feed('ls\r\x03\xff'), 'ls\r\x03\xff');
});

test('Ctrl-] q quits, also when it arrives in two parts', () => {
  assert.equal(feed('a\x1dqb'), 'a<quit>');
  assert.equal(feed('a\x1d', 'qb'), 'a<quit>');
});

test('Ctrl-] twice sends one, and before another key both pass', () => {
  assert.equal(feed('\x1d\x1dq'), '\x1dq');
  assert.equal(feed('\x1d', 'x'), '\x1dx');
});
