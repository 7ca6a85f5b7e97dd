/**
 * Cold operations that an instruction hands to TypeScript (engine/system), by name. The number of a name is its
 * position: `Ops.system(name)` passes it to the `system` import.
 */
export const SYSTEM_NAMES: readonly string[] = [];
