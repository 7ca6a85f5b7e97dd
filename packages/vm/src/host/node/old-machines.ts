/**
 * Memory of machines that have ended. A guest's memory is hundreds of megabytes outside of V8's heap behind a few
 * small objects, so V8 sees no reason to collect them; before a new machine is made, we give it one.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The last references to a machine go some turns of the event loop after its end. */
const SETTLE_MS = 100;

let ended = 0;
let collect: (() => void) | undefined;

/** Its memory is freed soon, or when the next machine starts; a process that only waits to end is not kept up. */
export function machineHasEnded(): void {
  ended++;
  setTimeout(freeEndedMachines, SETTLE_MS).unref();
}

/** Frees what ended machines leave, unless somebody still refers to them. Costs some 10 ms, only after an end. */
export function freeEndedMachines(): void {
  if (ended === 0) return;
  ended = 0;
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
