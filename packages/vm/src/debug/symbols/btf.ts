/**
 * Where a Linux kernel keeps what in its structures: the part of BTF (Documentation/bpf/btf.rst) that says so.
 *
 *   header: magic u16 · version u8 · flags u8 · header bytes u32 · types at u32, bytes u32 · strings at u32, bytes u32
 *   type:   name u32 · info u32 (members 16 bits, kind in bits 24–28, bit 31: bit fields) · size or type u32 · more
 */

const MAGIC = 0xeb9f;
const KIND = {
  INT: 1,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  TAG: 17,
  ENUM64: 19,
};
/** Bytes after the 12 that every type has: constant, and per member. */
const EXTRA: Readonly<Record<number, readonly [number, number]>> = {
  [KIND.INT]: [4, 0],
  [KIND.ARRAY]: [12, 0],
  [KIND.STRUCT]: [0, 12],
  [KIND.UNION]: [0, 12],
  [KIND.ENUM]: [0, 8],
  [KIND.PROTO]: [0, 8],
  [KIND.VAR]: [4, 0],
  [KIND.DATASEC]: [0, 12],
  [KIND.TAG]: [4, 0],
  [KIND.ENUM64]: [0, 12],
};
const DEEPEST = 8;

export class TypeInformation {
  readonly #data: DataView;
  readonly #bytes: Uint8Array;
  readonly #strings: number;
  /** Place of each type by its number; number 0 is void. */
  readonly #types: number[] = [0];

  private constructor(bytes: Uint8Array, types: number, typeBytes: number, strings: number) {
    this.#bytes = bytes;
    this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#strings = strings;
    for (let at = types; at + 12 <= types + typeBytes; ) {
      this.#types.push(at);
      const { kind, members } = this.#info(at);
      const [constant, each] = EXTRA[kind] ?? [0, 0];
      at += 12 + constant + each * members;
    }
  }

  /** @returns null when it is none */
  static parse(bytes: Uint8Array): TypeInformation | null {
    if (bytes.length < 24) return null;
    const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (data.getUint16(0, true) !== MAGIC) return null;
    const header = data.getUint32(4, true);
    const types = header + data.getUint32(8, true);
    const typeBytes = data.getUint32(12, true);
    const strings = header + data.getUint32(16, true);
    if (types + typeBytes > bytes.length || strings > bytes.length) return null;
    return new TypeInformation(bytes, types, typeBytes, strings);
  }

  /** Bytes from the start of `struct name` to `member`, also of one inside members without a name. */
  offset(struct: string, member: string): number | null {
    for (let type = 1; type < this.#types.length; type++) {
      const at = this.#types[type] as number;
      if (this.#info(at).kind !== KIND.STRUCT || this.#name(at) !== struct) continue;
      const found = this.#member(at, member, 0);
      if (found !== null) return found;
    }
    return null;
  }

  #member(at: number, wanted: string, depth: number): number | null {
    const { members, bitFields } = this.#info(at);
    for (let i = 0; i < members; i++) {
      const place = at + 12 + 12 * i;
      if (place + 12 > this.#bytes.length) return null;
      const bits = this.#data.getUint32(place + 8, true);
      const offset = (bitFields ? bits & 0xff_ffff : bits) >>> 3;
      const name = this.#name(place);
      if (name === wanted) return offset;
      const inner = this.#types[this.#data.getUint32(place + 4, true)];
      if (name !== '' || inner === undefined || inner === 0 || depth === DEEPEST) continue;
      const { kind } = this.#info(inner);
      if (kind !== KIND.STRUCT && kind !== KIND.UNION) continue;
      const found = this.#member(inner, wanted, depth + 1);
      if (found !== null) return offset + found;
    }
    return null;
  }

  #info(at: number): { kind: number; members: number; bitFields: boolean } {
    const info = this.#data.getUint32(at + 4, true);
    return { kind: (info >>> 24) & 0x1f, members: info & 0xffff, bitFields: info >>> 31 === 1 };
  }

  #name(at: number): string {
    const start = this.#strings + this.#data.getUint32(at, true);
    const end = this.#bytes.indexOf(0, start);
    return end - start > 256 ? '' : String.fromCharCode(...this.#bytes.subarray(start, Math.max(start, end)));
  }
}
