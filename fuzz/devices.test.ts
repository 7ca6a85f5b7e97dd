import { test } from 'node:test';
import { fuzzDevices } from './devices.ts';

for (let seed = 1; seed <= 12; seed++) {
  test(`a hostile guest with seed ${seed} harms nobody`, { timeout: 60_000 }, () =>
    fuzzDevices({ seed, operations: 4000 }),
  );
}
