/** The other side v86: a 32-bit guest with 32-bit builds of the same programs, in a process of its own. */
import type { Guest } from './guest.ts';
import type { V86Files } from './v86-files.ts';
import { booted, GuestProcess } from './vivarium.ts';

export function bootV86(files: V86Files, limitMs: number): Promise<Guest> {
  const began = performance.now();
  return booted(new GuestProcess('v86', 'v86-process.mjs', files), began, limitMs);
}
