/** Every warm function of the engine, in dependency-free order: what `call(name, …)` may name. */
import type { Definition } from './block.ts';
import { X87_DEFINITIONS } from './sem/x87-definitions.ts';

export const DEFINITIONS: readonly Definition[] = [...X87_DEFINITIONS];
