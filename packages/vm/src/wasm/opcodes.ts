/**
 * WebAssembly instructions by name: encoding and signature (WebAssembly 2.0, appendix "Index of instructions").
 * A signature is `result:params` in the letters I = i32, L = i64, F = f32, D = f64, V = v128, `-` = none.
 */
export type Ty = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';

export interface WasmOp {
  readonly name: string;
  /** The name's part behind the dot: `add` of `i32.add`. */
  readonly mnemonic: string;
  /** Prefix byte (0xfc, 0xfd, 0xfe) or 0. */
  readonly prefix: number;
  readonly code: number;
  readonly result: Ty | null;
  readonly params: readonly Ty[];
  /** How the immediate looks: none, memory argument, or lane index byte(s). */
  readonly immediate: 'none' | 'memory' | 'lane' | 'lanes16' | 'zero';
  /** Alignment exponent that a memory instruction is written with: plain accesses may be unaligned. */
  readonly alignment: number;
}

const LETTERS: Readonly<Record<string, Ty>> = { I: 'i32', L: 'i64', F: 'f32', D: 'f64', V: 'v128' };
const table = new Map<string, WasmOp>();

/** The engine's one copy of a text, as literals are: such texts are compared by their addresses. */
function interned(text: string): string {
  return Object.keys({ [text]: 0 })[0] as string;
}

function alignmentOf(name: string): number {
  if (!name.includes('atomic') || name.includes('rmw8')) return 0;
  return name.startsWith('i64') ? 3 : 2;
}

function define(
  prefix: number,
  first: number,
  signature: string,
  names: string,
  immediate: WasmOp['immediate'] = 'none',
): void {
  const [result, params] = signature.split(':') as [string, string];
  let code = first;
  for (const name of names.split(/\s+/)) {
    if (name !== '_') {
      const types = [...params].map((letter) => LETTERS[letter] as Ty);
      const key = interned(name);
      table.set(key, {
        name: key,
        mnemonic: interned(name.slice(name.indexOf('.') + 1)),
        prefix,
        code,
        result: LETTERS[result] ?? null,
        params: types,
        immediate,
        alignment: alignmentOf(name),
      });
    }
    code++;
  }
}

/** Prefixes every word with a type, as in `i32.add`. */
function typed(type: string, names: string): string {
  return names.replace(/[^\s_]\S*/g, (name) => `${type}.${name}`);
}

const INT_COMPARE = 'eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u';
const INT_BINARY = 'add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr';
const FLOAT_COMPARE = 'eq ne lt gt le ge';

define(0, 0x45, 'I:I', 'i32.eqz');
define(0, 0x46, 'I:II', typed('i32', INT_COMPARE));
define(0, 0x50, 'I:L', 'i64.eqz');
define(0, 0x51, 'I:LL', typed('i64', INT_COMPARE));
define(0, 0x5b, 'I:FF', typed('f32', FLOAT_COMPARE));
define(0, 0x61, 'I:DD', typed('f64', FLOAT_COMPARE));
define(0, 0x67, 'I:I', typed('i32', 'clz ctz popcnt'));
define(0, 0x6a, 'I:II', typed('i32', INT_BINARY));
define(0, 0x79, 'L:L', typed('i64', 'clz ctz popcnt'));
define(0, 0x7c, 'L:LL', typed('i64', INT_BINARY));
define(0, 0x8b, 'F:F', typed('f32', 'abs neg ceil floor trunc nearest sqrt'));
define(0, 0x92, 'F:FF', typed('f32', 'add sub mul div min max copysign'));
define(0, 0x99, 'D:D', typed('f64', 'abs neg ceil floor trunc nearest sqrt'));
define(0, 0xa0, 'D:DD', typed('f64', 'add sub mul div min max copysign'));
define(0, 0xa7, 'I:L', 'i32.wrap_i64');
define(0, 0xa8, 'I:F', 'i32.trunc_f32_s i32.trunc_f32_u');
define(0, 0xaa, 'I:D', 'i32.trunc_f64_s i32.trunc_f64_u');
define(0, 0xac, 'L:I', 'i64.extend_i32_s i64.extend_i32_u');
define(0, 0xae, 'L:F', 'i64.trunc_f32_s i64.trunc_f32_u');
define(0, 0xb0, 'L:D', 'i64.trunc_f64_s i64.trunc_f64_u');
define(0, 0xb2, 'F:I', 'f32.convert_i32_s f32.convert_i32_u');
define(0, 0xb4, 'F:L', 'f32.convert_i64_s f32.convert_i64_u');
define(0, 0xb6, 'F:D', 'f32.demote_f64');
define(0, 0xb7, 'D:I', 'f64.convert_i32_s f64.convert_i32_u');
define(0, 0xb9, 'D:L', 'f64.convert_i64_s f64.convert_i64_u');
define(0, 0xbb, 'D:F', 'f64.promote_f32');
define(0, 0xbc, 'I:F', 'i32.reinterpret_f32');
define(0, 0xbd, 'L:D', 'i64.reinterpret_f64');
define(0, 0xbe, 'F:I', 'f32.reinterpret_i32');
define(0, 0xbf, 'D:L', 'f64.reinterpret_i64');
define(0, 0xc0, 'I:I', 'i32.extend8_s i32.extend16_s');
define(0, 0xc2, 'L:L', 'i64.extend8_s i64.extend16_s i64.extend32_s');
define(0xfc, 0x00, 'I:F', 'i32.trunc_sat_f32_s i32.trunc_sat_f32_u');
define(0xfc, 0x02, 'I:D', 'i32.trunc_sat_f64_s i32.trunc_sat_f64_u');
define(0xfc, 0x04, 'L:F', 'i64.trunc_sat_f32_s i64.trunc_sat_f32_u');
define(0xfc, 0x06, 'L:D', 'i64.trunc_sat_f64_s i64.trunc_sat_f64_u');

define(0, 0x28, 'I:I', 'i32.load', 'memory');
define(0, 0x29, 'L:I', 'i64.load', 'memory');
define(0, 0x2a, 'F:I', 'f32.load', 'memory');
define(0, 0x2b, 'D:I', 'f64.load', 'memory');
define(0, 0x2c, 'I:I', typed('i32', 'load8_s load8_u load16_s load16_u'), 'memory');
define(0, 0x30, 'L:I', typed('i64', 'load8_s load8_u load16_s load16_u load32_s load32_u'), 'memory');
define(0, 0x36, '-:II', 'i32.store', 'memory');
define(0, 0x37, '-:IL', 'i64.store', 'memory');
define(0, 0x38, '-:IF', 'f32.store', 'memory');
define(0, 0x39, '-:ID', 'f64.store', 'memory');
define(0, 0x3a, '-:II', 'i32.store8 i32.store16', 'memory');
define(0, 0x3c, '-:IL', 'i64.store8 i64.store16 i64.store32', 'memory');

// SIMD (prefix 0xfd)
define(0xfd, 0x00, 'V:I', 'v128.load', 'memory');
define(0xfd, 0x0b, '-:IV', 'v128.store', 'memory');
define(0xfd, 0x5c, 'V:I', 'v128.load32_zero v128.load64_zero', 'memory');
define(0xfd, 0x0d, 'V:VV', 'i8x16.shuffle', 'lanes16');
define(0xfd, 0x0e, 'V:VV', 'i8x16.swizzle');
define(0xfd, 0x0f, 'V:I', 'i8x16.splat i16x8.splat i32x4.splat');
define(0xfd, 0x12, 'V:L', 'i64x2.splat');
define(0xfd, 0x13, 'V:F', 'f32x4.splat');
define(0xfd, 0x14, 'V:D', 'f64x2.splat');
define(0xfd, 0x15, 'I:V', 'i8x16.extract_lane_s i8x16.extract_lane_u', 'lane');
define(0xfd, 0x17, 'V:VI', 'i8x16.replace_lane', 'lane');
define(0xfd, 0x18, 'I:V', 'i16x8.extract_lane_s i16x8.extract_lane_u', 'lane');
define(0xfd, 0x1a, 'V:VI', 'i16x8.replace_lane', 'lane');
define(0xfd, 0x1b, 'I:V', 'i32x4.extract_lane', 'lane');
define(0xfd, 0x1c, 'V:VI', 'i32x4.replace_lane', 'lane');
define(0xfd, 0x1d, 'L:V', 'i64x2.extract_lane', 'lane');
define(0xfd, 0x1e, 'V:VL', 'i64x2.replace_lane', 'lane');
define(0xfd, 0x1f, 'F:V', 'f32x4.extract_lane', 'lane');
define(0xfd, 0x20, 'V:VF', 'f32x4.replace_lane', 'lane');
define(0xfd, 0x21, 'D:V', 'f64x2.extract_lane', 'lane');
define(0xfd, 0x22, 'V:VD', 'f64x2.replace_lane', 'lane');
define(0xfd, 0x23, 'V:VV', typed('i8x16', INT_COMPARE));
define(0xfd, 0x2d, 'V:VV', typed('i16x8', INT_COMPARE));
define(0xfd, 0x37, 'V:VV', typed('i32x4', INT_COMPARE));
define(0xfd, 0x41, 'V:VV', typed('f32x4', FLOAT_COMPARE));
define(0xfd, 0x47, 'V:VV', typed('f64x2', FLOAT_COMPARE));
define(0xfd, 0x4d, 'V:V', 'v128.not');
define(0xfd, 0x4e, 'V:VV', typed('v128', 'and andnot or xor'));
define(0xfd, 0x52, 'V:VVV', 'v128.bitselect');
define(0xfd, 0x53, 'I:V', 'v128.any_true');
define(0xfd, 0x5e, 'V:V', 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4');
define(0xfd, 0x60, 'V:V', typed('i8x16', 'abs neg popcnt'));
define(0xfd, 0x63, 'I:V', typed('i8x16', 'all_true bitmask'));
define(0xfd, 0x65, 'V:VV', typed('i8x16', 'narrow_i16x8_s narrow_i16x8_u'));
define(0xfd, 0x67, 'V:V', typed('f32x4', 'ceil floor trunc nearest'));
define(0xfd, 0x6b, 'V:VI', typed('i8x16', 'shl shr_s shr_u'));
define(0xfd, 0x6e, 'V:VV', typed('i8x16', 'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u'));
define(0xfd, 0x74, 'V:V', typed('f64x2', 'ceil floor'));
define(0xfd, 0x76, 'V:VV', typed('i8x16', 'min_s min_u max_s max_u'));
define(0xfd, 0x7a, 'V:V', 'f64x2.trunc');
define(0xfd, 0x7b, 'V:VV', 'i8x16.avgr_u');
define(0xfd, 0x7c, 'V:V', typed('i16x8', 'extadd_pairwise_i8x16_s extadd_pairwise_i8x16_u'));
define(0xfd, 0x7e, 'V:V', typed('i32x4', 'extadd_pairwise_i16x8_s extadd_pairwise_i16x8_u'));
define(0xfd, 0x80, 'V:V', typed('i16x8', 'abs neg'));
define(0xfd, 0x82, 'V:VV', 'i16x8.q15mulr_sat_s');
define(0xfd, 0x83, 'I:V', typed('i16x8', 'all_true bitmask'));
define(0xfd, 0x85, 'V:VV', typed('i16x8', 'narrow_i32x4_s narrow_i32x4_u'));
define(
  0xfd,
  0x87,
  'V:V',
  typed('i16x8', 'extend_low_i8x16_s extend_high_i8x16_s extend_low_i8x16_u extend_high_i8x16_u'),
);
define(0xfd, 0x8b, 'V:VI', typed('i16x8', 'shl shr_s shr_u'));
define(0xfd, 0x8e, 'V:VV', typed('i16x8', 'add add_sat_s add_sat_u sub sub_sat_s sub_sat_u'));
define(0xfd, 0x94, 'V:V', 'f64x2.nearest');
define(0xfd, 0x95, 'V:VV', typed('i16x8', 'mul min_s min_u max_s max_u'));
define(0xfd, 0x9b, 'V:VV', 'i16x8.avgr_u');
define(
  0xfd,
  0x9c,
  'V:VV',
  typed('i16x8', 'extmul_low_i8x16_s extmul_high_i8x16_s extmul_low_i8x16_u extmul_high_i8x16_u'),
);
define(0xfd, 0xa0, 'V:V', typed('i32x4', 'abs neg'));
define(0xfd, 0xa3, 'I:V', typed('i32x4', 'all_true bitmask'));
define(
  0xfd,
  0xa7,
  'V:V',
  typed('i32x4', 'extend_low_i16x8_s extend_high_i16x8_s extend_low_i16x8_u extend_high_i16x8_u'),
);
define(0xfd, 0xab, 'V:VI', typed('i32x4', 'shl shr_s shr_u'));
define(0xfd, 0xae, 'V:VV', 'i32x4.add');
define(0xfd, 0xb1, 'V:VV', 'i32x4.sub');
define(0xfd, 0xb5, 'V:VV', typed('i32x4', 'mul min_s min_u max_s max_u dot_i16x8_s'));
define(
  0xfd,
  0xbc,
  'V:VV',
  typed('i32x4', 'extmul_low_i16x8_s extmul_high_i16x8_s extmul_low_i16x8_u extmul_high_i16x8_u'),
);
define(0xfd, 0xc0, 'V:V', typed('i64x2', 'abs neg'));
define(0xfd, 0xc3, 'I:V', typed('i64x2', 'all_true bitmask'));
define(
  0xfd,
  0xc7,
  'V:V',
  typed('i64x2', 'extend_low_i32x4_s extend_high_i32x4_s extend_low_i32x4_u extend_high_i32x4_u'),
);
define(0xfd, 0xcb, 'V:VI', typed('i64x2', 'shl shr_s shr_u'));
define(0xfd, 0xce, 'V:VV', 'i64x2.add');
define(0xfd, 0xd1, 'V:VV', 'i64x2.sub');
define(0xfd, 0xd5, 'V:VV', typed('i64x2', 'mul eq ne lt_s gt_s le_s ge_s'));
define(
  0xfd,
  0xdc,
  'V:VV',
  typed('i64x2', 'extmul_low_i32x4_s extmul_high_i32x4_s extmul_low_i32x4_u extmul_high_i32x4_u'),
);
define(0xfd, 0xe0, 'V:V', typed('f32x4', 'abs neg'));
define(0xfd, 0xe3, 'V:V', 'f32x4.sqrt');
define(0xfd, 0xe4, 'V:VV', typed('f32x4', 'add sub mul div min max pmin pmax'));
define(0xfd, 0xec, 'V:V', typed('f64x2', 'abs neg'));
define(0xfd, 0xef, 'V:V', 'f64x2.sqrt');
define(0xfd, 0xf0, 'V:VV', typed('f64x2', 'add sub mul div min max pmin pmax'));
define(
  0xfd,
  0xf8,
  'V:V',
  'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u',
);
define(
  0xfd,
  0xfc,
  'V:V',
  'i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u',
);

// Threads (prefix 0xfe)
define(0xfe, 0x03, '-:', 'atomic.fence', 'zero');
define(0xfe, 0x10, 'I:I', 'i32.atomic.load', 'memory');
define(0xfe, 0x11, 'L:I', 'i64.atomic.load', 'memory');
define(0xfe, 0x17, '-:II', 'i32.atomic.store', 'memory');
define(0xfe, 0x2e, 'I:II', 'i32.atomic.rmw8.and_u', 'memory');
define(0xfe, 0x35, 'I:II', 'i32.atomic.rmw8.or_u', 'memory');
define(0xfe, 0x33, 'I:II', 'i32.atomic.rmw.or', 'memory');
define(0xfe, 0x34, 'L:IL', 'i64.atomic.rmw.or', 'memory');
define(0xfe, 0x48, 'I:III', 'i32.atomic.rmw.cmpxchg', 'memory');
define(0xfe, 0x49, 'L:ILL', 'i64.atomic.rmw.cmpxchg', 'memory');

/** Looks an instruction up by its name in the text format. An unknown name is a mistake in our own source. */
export function wasmOp(name: string): WasmOp {
  const op = table.get(name);
  if (op === undefined) throw new Error(`unknown WebAssembly instruction ${name}`);
  return op;
}

/** Every instruction there is, for tests of the emitter and the evaluator. */
export function wasmOps(): readonly WasmOp[] {
  return [...table.values()];
}
