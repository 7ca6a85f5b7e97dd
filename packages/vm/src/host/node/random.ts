/** The randomness port on Node. */
import { randomFillSync } from 'node:crypto';
import type { Randomness } from '../../base/ports.ts';

export const random: Randomness = {
  fill(target) {
    randomFillSync(target);
  },
};
