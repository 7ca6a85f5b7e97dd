/** Makes random programs: instructions from all rows, bounded loops, branches, calls, rewritten code, faults. */
import { ROWS } from '../packages/vm/src/x86/isa/index.ts';
import { immediateBytes, type Instance, type MemoryOperand } from '../packages/vm/src/x86/encode.ts';
import { operandBytes, type Row } from '../packages/vm/src/x86/row.ts';
import { CODE_SIZE, CONST_BASE, DATA_BASE, initialFx, type Patch, STACK_TOP } from '../test/oracle/case.ts';
import { comparable, masksOf, randomFlags, type Shape, shapesOf } from '../test/oracle/generate.ts';
import { float32, float64, float80, integer, type Random } from '../test/oracle/random.ts';
import { Flow } from './flow.ts';
import { COUNTER_COUNT, counterPatch, type Item, layOut, type Program } from './program.ts';

/** Left out of programs: results that depend on where or when, or that hand over to the cold part. */
const LEFT_OUT =
  /^(F2XM1|FYL2X|FYL2XP1|FSIN|FCOS|FSINCOS|FPTAN|FPATAN|RCP[PS]S|RSQRT[PS]S|FN?STENV|FN?SAVE|FLDENV|FRSTOR|FXSAVE\d*|FXRSTOR\d*|ENTER|LEAVE|POPA|PUSHA|RET|RETF|JMP|CALL|J\w+|LOOP\w*|XLAT|POPF|BOUND|INTO|INT\w*|UD\d|HLT|CL[IT]S?|STI|IN|OUT|INSB?|OUTSB?|WR[FG]SBASE|MASKMOV\w+|ARPL|CLAC|STAC|LLDT|LTR|LGDT|LIDT|LMSW|INVD|WBINVD|INVLPG|SWAPGS|RDMSR|WRMSR)$/;

/** Pointers that no instruction writes, by mode; everything else but RSP is free. */
const POINTERS = { 64: [12, 13, 14], 32: [3, 5] } as const;
const POINTER_VALUES = [DATA_BASE + 0x600, DATA_BASE + 0x1400, DATA_BASE + 0xff8];

/** Shapes that programs use, by mode and by family, so that a large family does not crowd out the others. */
export interface Palette {
  readonly groups: readonly (readonly Shape[])[];
  /** SSE and SSE2 arithmetic on floating-point numbers, what converts and compares them, MXCSR. */
  readonly floats: readonly Shape[];
  /** Shapes to prefer (fault injection); may be empty. */
  readonly preferred: readonly Shape[];
}

const FLOATS =
  /^(ADD|SUB|MUL|DIV|SQRT|MIN|MAX|U?COMI|CMP|MOV|MOVAP|MOVUP|HADD|ADDSUB|ROUND|AND|ANDN|OR|XOR|UNPCKL|SHUF)[SP][SD]$|^CVTT?\w+2\w+$|^(LD|ST)MXCSR$/;

/** @param preferred row to take often */
export function palette(mode: 64 | 32, preferred?: Row): Palette {
  const groups = new Map<string, Shape[]>();
  const wanted: Shape[] = [];
  for (const row of ROWS) {
    if (!comparable(row) || row.attributes.has('cpl0')) continue;
    if (LEFT_OUT.test(row.mnemonic)) continue;
    if (row.operands.some((o) => 'SCD'.includes(o.kind) || /^[CDESFG]S$/.test(o.size))) continue;
    for (const shape of shapesOf(row)) {
      if (shape.mode !== mode) continue;
      if (/^SH[LR]D$/.test(row.mnemonic) && shape.opsize === 2) continue;
      if (row.mnemonic === 'MOVSXD' && shape.opsize === 2) continue;
      const kinds = row.operands.map((o) => o.kind).join('');
      const family = /[PQN]/.test(kinds)
        ? 'mmx'
        : /[VWU]/.test(kinds)
          ? 'sse'
          : /^F/.test(row.mnemonic)
            ? 'x87'
            : 'integer';
      const list = groups.get(family) ?? [];
      list.push(shape);
      groups.set(family, list);
      if (row === preferred) wanted.push(shape);
    }
  }
  const floats = (groups.get('sse') ?? []).filter(({ row }) => FLOATS.test(row.mnemonic));
  const integerShapes = groups.get('integer') ?? [];
  return { groups: [integerShapes, integerShapes, ...groups.values()], floats, preferred: wanted };
}

/** Programs of one straight line with a few branches, and programs of control flow, half of each. */
export function makeProgram(r: Random, palettes: Readonly<Record<64 | 32, Palette>>): Program {
  return r.chance(50) ? makeLine(r, palettes) : makeFlow(r, palettes);
}

function makeFlow(r: Random, palettes: Readonly<Record<64 | 32, Palette>>): Program {
  const mode = r.chance(75) ? 64 : 32;
  const p = palettes[mode];
  const counters = mode === 64 ? [15, 11, 10] : [5];
  const pointers: readonly number[] = mode === 64 ? POINTERS[64] : [3];
  const used = [4, ...pointers, ...counters];
  const free = Array.from({ length: mode === 64 ? 16 : 8 }, (_, i) => i).filter((i) => !used.includes(i));
  const floating = r.chance(25);
  const integers = p.groups[0] ?? [];
  const usual = r.chance(50) ? p.groups.slice(0, 3) : p.groups;
  const groups = floating ? [p.floats, p.floats, p.floats, integers] : usual;
  const flow = new Flow(r, {
    mode,
    free,
    counters,
    floating,
    instruction: (except) =>
      instruction(
        r,
        mode,
        groups,
        p.preferred,
        free.filter((n) => !except.includes(n)),
        pointers,
      ),
  });
  if (r.chance(25)) flow.items.push(padding(r));
  flow.make();
  const program: Program = {
    mode,
    items: flow.items,
    kept: flow.items.map(() => true),
    gpr: startRegisters(r, pointers, counters),
    rflags: randomFlags(r) & ~0x400,
    fx: startFx(r),
    patches: [...flow.patches(), ...(floating ? floatPatches(r) : [])],
  };
  return layOut(program).code.length < CODE_SIZE - 64 ? program : makeFlow(r, palettes);
}

/** Numbers where the pointers point, instead of bits that are mostly very large or very small. */
function floatPatches(r: Random): Patch[] {
  return [DATA_BASE + 0x580, DATA_BASE + 0x1380, DATA_BASE + 0xfc0].map((addr) => {
    const bytes = new Uint8Array(0x180);
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < bytes.length; at += 8) {
      if (r.chance(50)) view.setBigUint64(at, float64(r), true);
      else {
        view.setUint32(at, float32(r), true);
        view.setUint32(at + 4, float32(r), true);
      }
    }
    return { addr, bytes };
  });
}

function startRegisters(
  r: Random,
  pointers: readonly number[],
  counters: readonly number[] = [],
): BigUint64Array {
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = integer(r);
  gpr[4] = BigInt(STACK_TOP);
  pointers.forEach((n, i) => {
    gpr[n] = BigInt(POINTER_VALUES[i] ?? DATA_BASE);
  });
  for (const n of counters) gpr[n] = BigInt(r.below(4));
  return gpr;
}

function makeLine(r: Random, palettes: Readonly<Record<64 | 32, Palette>>): Program {
  const mode = r.chance(75) ? 64 : 32;
  const p = palettes[mode];
  const length = 20 + r.below(181);
  const items: Item[] = [];
  const registers = mode === 64 ? 16 : 8;
  const pointers: readonly number[] = POINTERS[mode];
  const free = Array.from({ length: registers }, (_, i) => i).filter((i) => i !== 4 && !pointers.includes(i));
  // most programs stay away from x87 and MMX together, which only makes everything empty
  const groups = r.chance(50) ? p.groups.slice(0, 3) : p.groups;
  if (r.chance(8)) items.push(padding(r));
  let counter = 0;
  while (items.length < length) {
    const kind = r.below(100);
    if (kind < 8) {
      const condition = r.chance(85) ? r.below(16) : 16;
      items.push({
        kind: 'branch',
        condition,
        target: Math.min(length, items.length + 1 + r.below(9)),
        short: r.chance(60),
      });
    } else if (kind < 11 && items.length > 3 && counter < COUNTER_COUNT) {
      items.push({ kind: 'loop', counter: counter++, target: Math.max(0, items.length - 1 - r.below(25)) });
    } else if (kind < 12) {
      const at = items.length;
      items.push({ kind: 'branch', condition: 17, target: at + 1, short: false }); // CALL next; then take the address off
      items.push({ kind: 'bytes', bytes: [0x58 + pickLow(r, free)], note: 'pop' });
    } else if (kind < 14) {
      const register = pickLow(r, free);
      const between: Item[] = [];
      for (let n = r.below(4); n > 0; n--) {
        between.push(...instruction(r, mode, groups, p.preferred, free, pointers));
      }
      items.push({ kind: 'rewrite', target: items.length + 1 + between.length, value: r.u32() }, ...between);
      items.push({ kind: 'bytes', bytes: [0xb8 + register, 1, 2, 3, 4], note: 'mov r32, imm32' });
    } else items.push(...instruction(r, mode, groups, p.preferred, free, pointers));
  }
  return {
    mode,
    items,
    kept: items.map(() => true),
    gpr: startRegisters(r, pointers),
    rflags: randomFlags(r) & ~0x400,
    fx: startFx(r),
    patches: [counterPatch(Array.from({ length: COUNTER_COUNT }, () => r.below(6)))],
  };
}

/** A jump over INT3s, so that what follows lies across the two pages of code. */
function padding(r: Random): Item {
  const gap = 4096 - 5 - r.below(700);
  return {
    kind: 'bytes',
    bytes: [0xe9, gap & 255, gap >> 8, 0, 0, ...new Array<number>(gap).fill(0xcc)],
    note: 'padding',
  };
}

function pickLow(r: Random, free: readonly number[]): number {
  return r.pick(free.filter((n) => n < 8));
}

function startFx(r: Random): Uint8Array {
  const fx = initialFx();
  const view = new DataView(fx.buffer);
  for (let i = 0; i < 32; i++) view.setBigUint64(160 + i * 8, r.chance(50) ? float64(r) : r.u64(), true);
  for (let i = 0; i < 8; i++) {
    const { significand, exponent } = float80(r);
    view.setBigUint64(32 + i * 16, BigInt.asUintN(64, significand), true);
    view.setUint16(40 + i * 16, exponent, true);
  }
  view.setUint8(4, r.below(256));
  view.setUint16(2, r.below(8) << 11, true);
  view.setUint16(0, 0x7f | (r.below(4) << 10) | (r.pick([3, 3, 2, 0]) << 8), true);
  if (r.chance(30))
    view.setUint32(24, 0x1f80 | (r.below(4) << 13) | (r.below(2) << 15) | (r.below(2) << 6), true);
  return fx;
}

/** One instruction of the palette, with what it needs before and after. */
function instruction(
  r: Random,
  mode: 64 | 32,
  groups: readonly (readonly Shape[])[],
  preferred: readonly Shape[],
  free: readonly number[],
  pointers: readonly number[],
): Item[] {
  const shape = preferred.length > 0 && r.chance(15) ? r.pick(preferred) : r.pick(r.pick(groups));
  const { row, opsize } = shape;
  const before: number[] = [];
  const fileSize = (kind: string): number => ('PQN'.includes(kind) ? 8 : mode === 64 ? 16 : 8);
  const general = (size: string): number => {
    const n = r.pick(free);
    if (size !== 'b') return n;
    // without REX, 4–7 are the high bytes of 0–3: of free registers only
    const low = mode === 64 ? free : free.filter((m) => m < 3);
    return r.pick(low.filter((m) => m < 4 || m > 7));
  };
  const registerFor = (kinds: string): number => {
    const spec = row.operands.find((o) => kinds.includes(o.kind));
    if (spec === undefined) return row.operands.some((o) => o.kind === 'ST') ? r.below(8) : r.pick(free);
    return 'GERZ'.includes(spec.kind) ? general(spec.size) : r.below(fileSize(spec.kind));
  };
  const reg = registerFor('GVP');
  const rm = registerFor('EZRUWQN');
  let memory: MemoryOperand | undefined;
  const string = row.attributes.has('string');
  if (shape.memory && row.encoding.modrm !== 'none') {
    const spec = row.operands.find((o) => 'EMWQ'.includes(o.kind));
    const bytes = spec === undefined ? 16 : operandBytes(spec, opsize) || 16;
    memory = memoryOperand(r, mode, bytes, pointers, free, before, reg);
    if (/^BT[SRC]?$/.test(row.mnemonic) && row.encoding.modrm === 'reg') {
      before.push(...andImmediate(mode, reg, 0x1ff));
    }
  }
  if (string) before.push(...stringSetUp(r));
  if (/^I?DIV$/.test(row.mnemonic)) {
    // mostly quotients that fit
    if (r.chance(90)) before.push(0x31, 0xd2, 0x0f, 0xb6, 0xc0); // xor edx, edx; movzx eax, al
  }
  const addressBytes = memory?.addressBytes ?? (mode === 64 ? 8 : 4);
  const instance: Instance = {
    row,
    mode,
    opsize,
    reg,
    rm,
    memory,
    immediates: immediateBytes(row, mode, opsize, addressBytes).map((bytes, n) => {
      if (row.operands.filter((o) => 'IJO'.includes(o.kind))[n]?.kind === 'O')
        return BigInt(DATA_BASE + r.below(0x1f00));
      return BigInt.asUintN(bytes * 8, integer(r));
    }),
    lock: row.attributes.has('lock') && memory !== undefined && r.chance(20),
    repeat: string && r.chance(60) ? r.pick(['F2', 'F3'] as const) : undefined,
    rex:
      mode === 64 &&
      row.encoding.modrm !== 'exact' &&
      row.operands.some((o) => o.size === 'b' && 'GEZR'.includes(o.kind)),
  };
  const masks = masksOf(instance, new BigUint64Array(16).fill(31n));
  if ((masks?.undefinedFlags ?? 0) === 0) return [{ kind: 'instruction', before, instance, after: [] }];
  const compare = [0x39, 0xc0 | (pickLow(r, free) << 3) | pickLow(r, free)];
  return [{ kind: 'instruction', before, instance, after: compare }];
}

function andImmediate(mode: 64 | 32, register: number, mask: number): number[] {
  const rex = mode === 64 ? [register >= 8 ? 0x49 : 0x48] : [];
  return [
    ...rex,
    0x81,
    0xe0 | (register & 7),
    mask & 255,
    (mask >> 8) & 255,
    (mask >> 16) & 255,
    (mask >> 24) & 255,
  ];
}

function stringSetUp(r: Random): number[] {
  const move = (register: number, value: number): number[] => [
    0xb8 + register,
    value & 255,
    (value >> 8) & 255,
    (value >> 16) & 255,
    (value >> 24) & 255,
  ];
  return [
    ...move(6, DATA_BASE + 0x400 + r.below(0x1000)),
    ...move(7, DATA_BASE + 0x400 + r.below(0x1000)),
    ...move(1, r.pick([0, 1, 2, 5, 16, 60])),
    r.chance(25) ? 0xfd : 0xfc,
  ];
}

function memoryOperand(
  r: Random,
  mode: 64 | 32,
  bytes: number,
  pointers: readonly number[],
  free: readonly number[],
  before: number[],
  reg: number,
): MemoryOperand {
  const addressBytes = mode === 32 ? 4 : r.chance(95) ? 8 : 4;
  const aligned = bytes === 16 ? -16 : -1;
  if (r.chance(1)) {
    // hostile: the border to read-only memory, or nowhere
    const at = r.pick([
      CONST_BASE - (bytes >> 1),
      CONST_BASE + 8,
      DATA_BASE - 4,
      CONST_BASE + 0x1000 - (bytes >> 1),
      0x40,
    ]);
    return { displacement: at, addressBytes };
  }
  const kind = r.below(10);
  if (kind === 0) return { displacement: (DATA_BASE + r.below(0x1f00)) & aligned, addressBytes };
  if (kind === 1 && mode === 64)
    return { displacement: (DATA_BASE + r.below(0x1f00)) & aligned, addressBytes, rip: true };
  const base = r.pick(pointers);
  const displacement = (r.chance(50) ? r.below(256) - 128 : r.below(0xa00) - 0x500) & aligned;
  const offset = base === pointers[2] ? displacement & 0xff : displacement;
  if (r.chance(35)) {
    const index = r.pick(free.filter((n) => n !== reg));
    const scale = bytes === 16 ? 8 : r.pick([1, 2, 4, 8] as const);
    before.push(...andImmediate(mode, index, bytes === 16 ? 0x3e : 0x7f));
    return { base, index, scale, displacement: offset, addressBytes };
  }
  return { base, displacement: offset, addressBytes };
}
