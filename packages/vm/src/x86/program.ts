/** Every warm function of the engine, in dependency-free order: what `call(name, …)` may name. */
import type { Definition } from './block.ts';

export const DEFINITIONS: readonly Definition[] = [];
