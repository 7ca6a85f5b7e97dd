/** The timer port on Node. */
import type { Timer } from '../../base/ports.ts';

export const timer: Timer = {
  after(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return () => clearTimeout(handle);
  },
};
