/** Address spaces that must not be mixed up. All are byte addresses below 2^53. */
declare const space: unique symbol;
/** Guest-physical address. */
export type Gpa = number & { readonly [space]?: 'gpa' };
/** Offset into the shared WebAssembly memory (what the soft engine calls a host address). */
export type Hva = number & { readonly [space]?: 'hva' };
