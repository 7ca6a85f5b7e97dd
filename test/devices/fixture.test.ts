import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TestMachine } from './driver.ts';

const disk = {
  sizeBytes: 0x10000,
  read: (): Promise<void> => Promise.resolve(),
  write: (): Promise<void> => Promise.resolve(),
  flush: (): Promise<void> => Promise.resolve(),
};

/** Recorded from a machine of version 1 that had used every device; never regenerated. */
test('a platform saved by version 1 still loads, completely', () => {
  const saved: unknown = JSON.parse(readFileSync(new URL('./platform-v1.json', import.meta.url), 'utf8'));
  const ports = [{ name: 'hvc', console: true }, { name: 'data' }];
  const virtio = [
    { type: 'console', ports } as const,
    { type: 'blk', disk: 'a' } as const,
    { type: 'rng' } as const,
  ];
  const machine = new TestMachine({ virtio }, { a: disk });
  machine.backends.load(saved as Parameters<typeof machine.backends.load>[0]);
  assert.deepEqual(machine.backends.save(), saved);
});
