/**
 * Cases from rows: every row × operand size × register or memory × mode is a shape; a shape and a seed give any
 * number of cases with sensible and with hostile values.
 */
import {
  encode,
  immediateBytes,
  type Instance,
  type MemoryOperand,
} from '../../packages/vm/src/x86/encode.ts';
import {
  memoryVariants,
  operandBytes,
  type OperandSpec,
  type Row,
  rowSizes,
} from '../../packages/vm/src/x86/row.ts';
import {
  CODE_BASE,
  CONST_BASE,
  DATA_BASE,
  initialFx,
  type Patch,
  STACK_BASE,
  STACK_TOP,
  type TestCase,
} from './case.ts';
import { Flag, type Masks } from './compare.ts';
import { float32, float64, float80, integer, type Random } from './random.ts';

export interface Shape {
  readonly row: Row;
  readonly mode: 64 | 32;
  readonly opsize: number;
  readonly memory: boolean;
}

export interface GeneratedCase {
  readonly shape: Shape;
  readonly instance: Instance;
  readonly test: TestCase;
  /** How to compare, or undefined when the manual leaves the whole result undefined. */
  readonly masks: Masks | undefined;
}

/**
 * What cannot be compared with a user process: it enters the kernel, depends on the machine or on time, or the
 * kernel emulates it. The bare-metal suite covers these.
 */
const NOT_COMPARABLE =
  /^(SYSCALL|SYSRET|SYSENTER|SYSEXIT|CPUID|RDTSCP?|RDPMC|RDRAND|RDSEED|RDPID|SGDT|SIDT|SLDT|STR|SMSW|VMCALL|VMMCALL|IRET|RETF|LES|LDS|LSS|LFS|LGS|LAR|LSL|VERR|VERW|INT|XGETBV|XSETBV|XSAVE.*|XRSTOR.*|MONITOR|MWAIT|PAUSE)$/;

export function comparable(row: Row): boolean {
  if (NOT_COMPARABLE.test(row.mnemonic)) return false;
  if (row.operands.some((o) => o.kind === 'A')) return false;
  // far pointers through memory
  return !(/^(JMP|CALL)$/.test(row.mnemonic) && row.operands.some((o) => o.kind === 'M'));
}

export function shapesOf(row: Row): Shape[] {
  const shapes: Shape[] = [];
  for (const mode of [64, 32] as const) {
    if (row.attributes.has(mode === 64 ? 'i64' : 'o64')) continue;
    for (const opsize of rowSizes(row)) {
      for (const memory of memoryVariants(row)) {
        const shape: Shape = { row, mode, opsize, memory };
        if (encode(instanceOf(shape, 0)) !== undefined) shapes.push(shape);
      }
    }
  }
  return shapes;
}

/** The plainest instance of a shape: to see whether it has an encoding. */
function instanceOf(shape: Shape, register: number): Instance {
  const { row, mode, opsize } = shape;
  const addressBytes = mode === 64 ? 8 : 4;
  return {
    row,
    mode,
    opsize,
    reg: register,
    rm: register,
    memory: shape.memory && hasModrm(row) ? { base: 3, displacement: 0, addressBytes } : undefined,
    immediates: [],
  };
}

function hasModrm(row: Row): boolean {
  return row.encoding.modrm === 'reg' || row.encoding.modrm === 'ext';
}

export function shapeName(s: Shape): string {
  const bits = s.opsize > 0 ? ` ${s.opsize * 8}-bit` : '';
  return `${s.row.text.split('|')[0]?.trim() ?? ''} (${s.row.text.split('|')[1]?.trim() ?? ''})${bits}${s.memory ? ' memory' : ''} in ${s.mode}-bit mode`;
}

const STATUS_BITS = [Flag.CF, Flag.PF, Flag.AF, Flag.ZF, Flag.SF, Flag.OF];

export function randomFlags(r: Random): number {
  let flags = 0x202;
  const bits = r.u32();
  STATUS_BITS.forEach((flag, i) => {
    if ((bits >> i) & 1) flags |= flag;
  });
  if (r.chance(15)) flags |= Flag.DF;
  return flags;
}

/** Where a memory operand goes: mostly somewhere in DATA, now and then at a border or nowhere. */
export function randomAddress(r: Random, bytes: number, hostile: number): number {
  if (r.chance(hostile)) {
    return r.pick([
      CONST_BASE - r.below(bytes + 1),
      CONST_BASE + r.below(64),
      CONST_BASE + 0x1000 - r.below(bytes + 1),
      DATA_BASE - r.below(bytes + 1),
      DATA_BASE + 0x100000 + r.below(4096),
      DATA_BASE + 0x1000 - r.below(bytes + 1),
      r.below(4096),
    ]);
  }
  const offset = 64 + r.below(0x1f00 - 64);
  return DATA_BASE + (r.chance(60) ? offset & -16 : offset);
}

interface Plan {
  gpr: BigUint64Array;
  patches: Patch[];
  fx: Uint8Array | undefined;
  rflags: number;
  /** FS or GS (4, 5) with this base for the memory operand. */
  segment: number | undefined;
  segmentBase: bigint;
}

function bytesOf(value: bigint, size: number): Uint8Array {
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = Number((value >> BigInt(8 * i)) & 0xffn);
  return out;
}

/** Chooses how to write `address`: registers, scale, displacement, RIP-relative, absolute; sets registers. */
export function chooseMemory(
  r: Random,
  mode: 64 | 32,
  address: number,
  gpr: BigUint64Array,
  keep: ReadonlySet<number>,
  writable = false,
): MemoryOperand {
  if (mode === 32 && r.chance(4)) return address16(r, gpr);
  const addressBytes = mode === 32 ? 4 : r.chance(90) ? 8 : 4;
  const width = BigInt(addressBytes * 8);
  const registers = mode === 64 ? 16 : 8;
  const segment = r.chance(4) ? r.pick(writable ? [0, 2, 3] : [0, 1, 2, 3]) : undefined;
  const free = (): number | undefined => {
    for (let tries = 0; tries < 20; tries++) {
      const n = r.below(registers);
      if (!keep.has(n) && n !== 4) return n;
    }
    return undefined;
  };
  const kind = r.below(10);
  if (kind === 0) return { displacement: address | 0, addressBytes, segment };
  // the displacement is made relative once the length is known (relativeTo)
  if (kind === 1 && mode === 64) return { displacement: address | 0, addressBytes, segment, rip: true };
  const base = free();
  if (base === undefined) return { displacement: address | 0, addressBytes, segment };
  const displacement = r.pick([0, 0, r.below(256) - 128, r.below(100000) - 50000]);
  let index: number | undefined;
  const scale = r.pick([1, 2, 4, 8] as const);
  let offset = BigInt(displacement);
  if (r.chance(40)) {
    index = free();
    if (index === base) index = undefined;
    if (index !== undefined) {
      const value = BigInt(r.below(2048) - 1024);
      gpr[index] = BigInt.asUintN(
        64,
        addressBytes === 8 ? value : BigInt.asUintN(32, value) | (r.u64() << 32n),
      );
      offset += value * BigInt(scale);
    }
  }
  const baseValue = BigInt.asUintN(Number(width), BigInt(address) - offset);
  // the upper half must not matter with 32-bit addresses
  gpr[base] = addressBytes === 8 ? baseValue : baseValue | (BigInt.asUintN(32, r.u64()) << 32n);
  return { base, index, scale, displacement, addressBytes, segment };
}

/** 16-bit addressing: it only reaches the lowest 64 KiB, where nothing is, but LEA computes with it. */
function address16(r: Random, gpr: BigUint64Array): MemoryOperand {
  for (const n of [3, 5, 6, 7]) gpr[n] = integer(r);
  const [base, index] = r.pick([
    [3, 6],
    [3, 7],
    [5, 6],
    [5, 7],
    [undefined, 6],
    [undefined, 7],
    [5, undefined],
    [3, undefined],
    [undefined, undefined],
  ] as const);
  const displacement = r.pick([0, r.below(256) - 128, r.below(65536) - 32768]);
  return { base, index, displacement, addressBytes: 2 };
}

/** Fills the FXSAVE image with values fit for the row's registers. */
export function randomFx(r: Random, row: Row): Uint8Array | undefined {
  const feature = row.feature.toLowerCase();
  const x87 =
    /^F/.test(row.mnemonic) && row.encoding.map === '' ? true : feature === 'x87' || feature === 'fpu';
  const vector = row.operands.some((o) => 'VWU'.includes(o.kind)) || /sse|LDMXCSR|STMXCSR/.test(feature);
  const mmx = row.operands.some((o) => 'PQN'.includes(o.kind)) || feature === 'mmx';
  if (feature === 'fxsr') return fxImage(r, row);
  if (!x87 && !vector && !mmx) return undefined;
  const fx = initialFx();
  const view = new DataView(fx.buffer);
  if (vector) randomXmm(r, row, view);
  if (mmx) {
    for (let i = 0; i < 8; i++) {
      view.setBigUint64(32 + i * 16, lanes(r, row), true);
      view.setUint16(40 + i * 16, 0xffff, true);
    }
    fx[4] = r.chance(50) ? 0xff : r.below(256);
    if (r.chance(30)) view.setUint16(2, r.below(8) << 11, true);
  }
  if (x87) randomX87(r, view);
  return fx;
}

/** A whole image; now and then with MXCSR bits that FXRSTOR refuses. */
function fxImage(r: Random, row: Row): Uint8Array {
  const fx = initialFx();
  const view = new DataView(fx.buffer);
  randomXmm(r, row, view);
  randomX87(r, view);
  return fx;
}

function lanes(r: Random, row: Row): bigint {
  if (/PS|SS/.test(row.mnemonic)) return BigInt(float32(r)) | (BigInt(float32(r)) << 32n);
  if (/PD|SD/.test(row.mnemonic)) return float64(r);
  return r.chance(30)
    ? integer(r)
    : r.chance(50)
      ? r.u64()
      : BigInt(float32(r)) | ((integer(r) << 32n) & 0xffffffffffffffffn);
}

function randomXmm(r: Random, row: Row, view: DataView): void {
  const similar = r.chance(10);
  for (let i = 0; i < 16; i++) {
    for (const half of [0, 8]) {
      const value =
        similar && i > 0 ? view.getBigUint64(160 + half, true) : BigInt.asUintN(64, lanes(r, row));
      view.setBigUint64(160 + i * 16 + half, value, true);
    }
  }
  let mxcsr = 0x1f80;
  if (r.chance(60)) mxcsr |= r.below(4) << 13;
  if (r.chance(20)) mxcsr |= 0x8000;
  if (r.chance(20)) mxcsr |= 0x40;
  if (r.chance(40)) mxcsr |= r.below(64);
  if (r.chance(10)) mxcsr &= ~(r.below(64) << 7);
  view.setUint32(24, mxcsr, true);
}

function randomX87(r: Random, view: DataView): void {
  let control = 0x7f | (r.below(4) << 10) | (r.pick([3, 3, 3, 2, 0]) << 8);
  if (r.chance(10)) control &= ~r.below(64);
  let status = (r.below(8) << 11) | (r.u32() & 0x4700);
  if (r.chance(30)) status |= r.below(128);
  if ((status & 0x40) !== 0 && (status & 1) === 0) status &= ~0x40;
  if (r.chance(90)) control |= status & 0x3f;
  if ((status & ~control & 0x3f) !== 0) status |= 0x8080;
  view.setUint16(0, control, true);
  view.setUint16(2, status, true);
  view.setUint8(4, r.chance(60) ? 0xff : r.below(256));
  for (let i = 0; i < 8; i++) {
    const { significand, exponent } = float80(r);
    view.setBigUint64(32 + i * 16, BigInt.asUintN(64, significand), true);
    view.setUint16(40 + i * 16, exponent, true);
  }
}

export const BRANCH: RegExp = /^(J\w+|CALL|LOOP\w*|RET|XBEGIN)$/;

/** One random case of a shape. @param hostile percentage of memory operands at borders or outside */
export function generate(shape: Shape, r: Random, hostile = 8): GeneratedCase {
  const { row, mode, opsize } = shape;
  const registers = mode === 64 ? 16 : 8;
  const gpr = new BigUint64Array(16);
  for (let i = 0; i < 16; i++) gpr[i] = integer(r);
  gpr[4] = BigInt(STACK_TOP - r.below(64) * 8);
  const plan: Plan = {
    gpr,
    patches: [],
    fx: randomFx(r, row),
    rflags: randomFlags(r),
    segment: undefined,
    segmentBase: 0n,
  };

  const regOperand = row.operands.find((o) => 'GVPSCD'.includes(o.kind));
  const reg = row.encoding.modrm === 'reg' ? pickRegister(r, regOperand, registers) : 0;
  let rm = pickRegister(
    r,
    row.operands.find((o) => 'EZRUWQN'.includes(o.kind)) ?? row.operands.find((o) => o.kind === 'ST'),
    registers,
  );
  if (row.mnemonic === 'XCHG' && row.encoding.plusR && rm === 0) rm = 1;
  const keep = new Set<number>([4]);
  if (hasRegisterInput(row)) keep.add(reg & 15);
  const usesAh = row.operands.some((o) => o.size === 'b');
  if (usesAh && mode === 64 && reg >= 4 && reg < 8) keep.add(reg - 4);

  prepareInputs(shape, r, plan, keep);
  let memory: MemoryOperand | undefined;
  let address = 0;
  let bytes = 0;
  if (shape.memory && hasModrm(row)) {
    const spec = row.operands.find((o) => 'EMWQ'.includes(o.kind));
    bytes = spec === undefined ? 16 : Math.max(1, operandBytes(spec, opsize) || 16);
    if (row.feature === 'fxsr') bytes = 512;
    address = randomAddress(r, bytes, hostile);
    if (bytes % 16 === 0 && !r.chance(20)) address &= -16;
    // what may end without the write (unmasked x87 exception, ARPL) does not look at its segment then
    const uncertain = row.mnemonic === 'ARPL' || (/^F/.test(row.mnemonic) && spec?.access !== 'r');
    if (mode === 64 && r.chance(5)) {
      plan.segment = r.pick([4, 5]);
      plan.segmentBase = BigInt(r.below(0x100000));
    }
    const target = address - Number(plan.segmentBase);
    memory = chooseMemory(r, mode, target, gpr, keep, uncertain);
    if (plan.segment !== undefined) memory = { ...memory, segment: plan.segment };
  }
  adjustRegisterInputs(shape, r, plan, memory === undefined ? rm : -1);
  if (memory !== undefined && r.chance(80)) {
    const content = memoryContent(r, row, bytes, opsize);
    if (address >= DATA_BASE && address + bytes <= CONST_BASE)
      plan.patches.push({ addr: address, bytes: content });
  }
  const rexable = mode === 64 && row.encoding.modrm !== 'exact' && r.chance(20);
  const instance: Instance = {
    row,
    mode,
    opsize,
    reg,
    rm,
    memory,
    immediates: immediatesFor(shape, r, memory?.addressBytes ?? (mode === 64 ? 8 : 4)),
    lock: row.attributes.has('lock') && memory !== undefined && r.chance(30),
    segment: memory === undefined ? plan.segment : undefined,
    repeat: row.attributes.has('string') && r.chance(70) ? r.pick(['F2', 'F3'] as const) : undefined,
    rex: rexable,
  };
  // a REX prefix that other prefixes follow does not count
  const ignored = mode === 64 && r.chance(3) ? [0x40 + r.below(16), r.pick([0x26, 0x2e, 0x36, 0x3e])] : [];
  const soup = instance.memory?.segment === undefined && instance.segment === undefined ? ignored : [];
  const at = CODE_BASE + soup.length;
  const bare = encodeAt(at, instance) ?? encodeAt(at, { ...instance, rex: false, lock: false });
  if (bare === undefined) throw new Error(`cannot encode ${shapeName(shape)}`);
  const code = bare.length + soup.length > 15 ? bare : Uint8Array.from([...soup, ...bare]);
  return {
    shape,
    instance,
    test: {
      mode,
      code,
      gpr,
      rflags: plan.rflags,
      fx: plan.fx,
      patches: plan.patches,
      fsBase: plan.segment === 4 ? plan.segmentBase : 0n,
      gsBase: plan.segment === 5 ? plan.segmentBase : 0n,
    },
    masks: masksOf(instance, gpr),
  };
}

const FLAG_LETTERS: Readonly<Record<string, number>> = {
  o: Flag.OF,
  s: Flag.SF,
  z: Flag.ZF,
  a: Flag.AF,
  p: Flag.PF,
  c: Flag.CF,
};

const TRANSCENDENTAL = /^(F2XM1|FYL2X|FYL2XP1|FSIN|FCOS|FSINCOS|FPTAN|FPATAN)$/;
/** Instructions of several accesses (MMX: silicon enters MMX state before the fault), and CALL, which silicon pushes for before it refuses the target. */
const LOOSE_FAULT = /^(PUSHA|POPA|ENTER|CALL|FBSTP|FN?STENV|FN?SAVE|FLDENV|FRSTOR|FXSAVE\d*|FXRSTOR\d*)$/;

/** What the row says, and for shifts what follows from the count: OF is defined for 1, CF up to the width. */
export function masksOf(i: Instance, gpr: BigUint64Array): Masks | undefined {
  let mask = 0;
  for (const letter of i.row.flags.undefined) mask |= FLAG_LETTERS[letter] ?? 0;
  if (/^(RO[LR]|RC[LR]|S[HA][LR]|SH[LR]D)$/.test(i.row.mnemonic)) {
    const last = i.row.operands.at(-1);
    const wide = i.opsize === 8 && i.row.operands[0]?.size !== 'b';
    const raw = last?.kind === 'I' ? (i.immediates?.[0] ?? 0n) : last?.size === 'CL' ? (gpr[1] ?? 0n) : 1n;
    const count = Number(raw & (wide ? 63n : 31n));
    const bits = i.row.operands[0]?.size === 'b' ? 8 : i.opsize * 8;
    if (count === 0) mask &= ~Flag.AF;
    if (count > 1) mask |= Flag.OF;
    if (count >= bits && /^S/.test(i.row.mnemonic)) mask |= Flag.CF;
    if (count > bits && /D$/.test(i.row.mnemonic)) return undefined;
  }
  const name = i.row.mnemonic;
  const loose =
    LOOSE_FAULT.test(name) ||
    (name === 'POP' && i.memory !== undefined) ||
    i.row.operands.some((o) => 'PQN'.includes(o.kind));
  const approximate = TRANSCENDENTAL.test(name) ? 'x87' : /^R(CP|SQRT)[PS]S$/.test(name) ? 'rcp' : undefined;
  return { undefinedFlags: mask, looseFault: loose, approximate };
}

/** Encodes at `address`; the displacement of a RIP-relative operand is its target and becomes relative here. */
export function encodeAt(address: number, i: Instance): Uint8Array | undefined {
  const plain = encode(i);
  if (plain === undefined || i.memory?.rip !== true) return plain;
  return encode({
    ...i,
    memory: { ...i.memory, displacement: (i.memory.displacement - address - plain.length) | 0 },
  });
}

function pickRegister(r: Random, spec: OperandSpec | undefined, registers: number): number {
  if (spec === undefined) return 0;
  if ('PQN'.includes(spec.kind) || spec.kind === 'ST') return r.below(8);
  if (spec.kind === 'S') return r.pick([0, 3, 4, 5, 2, 1, 6, 7]);
  if (spec.kind === 'C' || spec.kind === 'D') return r.below(8);
  return r.below(registers);
}

function hasRegisterInput(row: Row): boolean {
  return row.operands.some((o) => o.kind === 'G' && o.access !== 'w');
}

/** Implicit operands: string pointers, counts, stack contents, dividends, targets. */
function prepareInputs(shape: Shape, r: Random, plan: Plan, keep: Set<number>): void {
  const { row, mode, opsize } = shape;
  const { gpr } = plan;
  const name = row.mnemonic;
  const high = (): bigint => (mode === 64 ? 0n : r.u64() << 32n) & 0xffffffffffffffffn;
  if (row.attributes.has('string') || /^(INS|OUTS)/.test(name)) {
    gpr[6] = BigInt(randomAddress(r, 64, 6)) | high();
    gpr[7] = BigInt(randomAddress(r, 64, 6)) | high();
    if (mode === 64 && r.chance(8)) {
      plan.segment = r.pick([4, 5]);
      plan.segmentBase = BigInt(r.below(0x100000));
      gpr[6] = BigInt.asUintN(64, (gpr[6] ?? 0n) - plan.segmentBase);
    }
    gpr[1] = BigInt(r.pick([0, 1, 2, 3, 8, 17, 100, 300, 1000])) | high();
    if (r.chance(30))
      plan.patches.push({ addr: DATA_BASE + 0x100, bytes: new Uint8Array(0x1800).fill(r.below(256)) });
    if (r.chance(50)) gpr[0] = (gpr[0] ?? 0n) & ~0xffn;
  }
  if (/^(MASKMOVQ|MASKMOVDQU)$/.test(name)) {
    gpr[7] = BigInt(randomAddress(r, 16, 0)); // whether a masked byte can fault is up to the model
    keep.add(7);
  }
  if (name === 'XLAT') gpr[3] = BigInt(randomAddress(r, 256, 10));
  if (/^(PUSH|POP|PUSHA|POPA|PUSHF|POPF|CALL|RET|LEAVE|ENTER)/.test(name)) {
    if (r.chance(8)) gpr[4] = BigInt(STACK_BASE + r.pick([0, 2, 4, 8, 16, 0xff8, 0xffc, 0x1000, 0x1004, -2]));
    if (name === 'LEAVE' || name === 'ENTER') gpr[5] = BigInt(STACK_BASE + 0x400 + r.below(64) * 8);
    const slots = new Uint8Array(128);
    for (let i = 0; i < 16; i++) slots.set(bytesOf(integer(r), 8), i * 8);
    if (name === 'RET') slots.set(bytesOf(target(r), 8), 0);
    if (name === 'POPF') slots.set(bytesOf(BigInt(r.u32() & 0x204ed5), 8), 0);
    if (name === 'POP' && row.operands.some((o) => /^[CDESFG]S$/.test(o.size))) {
      slots.set(bytesOf(BigInt(r.pick([0, 0x2b, 0x28, 3, 0x10, 0x1ffb])), 8), 0);
    }
    const at = Number((gpr[4] ?? 0n) & 0xffffffffn);
    if (at >= STACK_BASE && at + 128 <= STACK_BASE + 0x1000) plan.patches.push({ addr: at, bytes: slots });
  }
  if (/^I?DIV$/.test(name) && r.chance(75)) {
    // quotients that fit: a small high half
    const bits = BigInt(opsize === 0 || opsize === 1 ? 8 : opsize * 8);
    const low = integer(r);
    const small = r.chance(50)
      ? 0n
      : name === 'IDIV' && (low >> (bits - 1n)) & 1n
        ? (1n << bits) - 1n
        : BigInt(r.below(20));
    if (row.operands[0]?.size === 'b')
      gpr[0] = (BigInt.asUintN(64, low) & ~0xffffn) | ((small & 0xffn) << 8n) | (low & 0xffn);
    else {
      gpr[0] = BigInt.asUintN(64, low);
      gpr[2] = BigInt.asUintN(64, small);
    }
  }
  if (/^PCMPESTR/.test(name)) {
    gpr[0] = BigInt.asUintN(64, BigInt(r.below(40) - 20));
    gpr[2] = BigInt.asUintN(64, BigInt(r.below(40) - 20));
  }
}

function target(r: Random): bigint {
  return r.pick([
    BigInt(CODE_BASE + 64 + r.below(4000)),
    BigInt(CODE_BASE + 64 + r.below(4000)),
    BigInt(CODE_BASE + 0x2000),
    r.u64(),
    BigInt(r.u32()),
  ]);
}

/** Values that only certain rows want in a register operand. */
function adjustRegisterInputs(shape: Shape, r: Random, plan: Plan, rm: number): void {
  const { row } = shape;
  const { gpr } = plan;
  if (rm < 0) {
    if (/^BT[SRC]?$/.test(row.mnemonic) && row.encoding.modrm === 'reg' && r.chance(97)) {
      // bit offsets reach beside the operand
      for (let i = 0; i < 16; i++) {
        if (isAddressLike(gpr[i] ?? 0n)) continue;
        const low = BigInt.asUintN(shape.opsize * 8, BigInt(r.below(4096) - 2048));
        gpr[i] = (((gpr[i] ?? 0n) >> BigInt(shape.opsize * 8)) << BigInt(shape.opsize * 8)) | low;
      }
    }
    return;
  }
  if (/^(JMP|CALL)$/.test(row.mnemonic) && row.encoding.modrm === 'ext' && rm !== 4) gpr[rm] = target(r);
  if (row.mnemonic === 'MOV' && row.operands[0]?.kind === 'S') {
    gpr[rm] =
      ((gpr[rm] ?? 0n) & ~0xffffn) | BigInt(r.pick([0, 3, 0x2b, 0x28, 0x2a, 0x10, 0x18, 0x33, 0x23, 0x1ffb]));
  }
  if (/^CRC32|^WR[FG]SBASE/.test(row.mnemonic) && r.chance(70)) gpr[rm] = (gpr[rm] ?? 0n) & 0x7fffffffffffn;
}

function isAddressLike(v: bigint): boolean {
  const low = v & 0xffffffffn;
  return low >= 0x1ff00000n && low <= 0x24100000n;
}

function memoryContent(r: Random, row: Row, bytes: number, opsize: number): Uint8Array {
  const out = new Uint8Array(bytes);
  const name = row.mnemonic;
  if (/^(JMP|CALL)$/.test(name)) out.set(bytesOf(target(r), bytes));
  else if (row.feature === 'fxsr') {
    out.set(fxImage(r, row).subarray(0, bytes));
    if (r.chance(10)) out[26] = 1;
  } else if (bytes === 10) {
    const { significand, exponent } = float80(r);
    out.set(bytesOf(BigInt.asUintN(64, significand) | (BigInt(exponent) << 64n), 10));
    if (name === 'FBLD' && r.chance(80))
      for (let i = 0; i < 9; i++) out[i] = r.below(10) | (r.below(10) << 4);
  } else if (name === 'LDMXCSR') out.set(bytesOf(BigInt(r.chance(80) ? r.u32() & 0xffff : r.u32()), bytes));
  else if (/^F(LDCW)$/.test(name)) out.set(bytesOf(BigInt(0x40 | r.below(0x2000)), bytes));
  else if (row.operands[0]?.kind === 'S') out.set(bytesOf(BigInt(r.pick([0, 0x2b, 0x10, 0x1ffb])), bytes));
  else if (/^F/.test(name) && row.encoding.map === '') {
    if (bytes === 4) out.set(bytesOf(BigInt(r.chance(60) ? float32(r) : r.u32()), 4));
    else
      for (let i = 0; i + 8 <= bytes; i += 8) out.set(bytesOf(r.chance(60) ? float64(r) : integer(r), 8), i);
  } else if (name === 'BOUND') {
    const half = opsize;
    out.set(bytesOf(integer(r), half), 0);
    out.set(bytesOf(integer(r), half), half);
  } else if (bytes <= 8) {
    const value =
      bytes === 4 && /SS|PS/.test(name)
        ? BigInt(float32(r))
        : /SD|PD|PS/.test(name)
          ? lanes(r, row)
          : integer(r);
    out.set(bytesOf(BigInt.asUintN(64, value), bytes));
  } else for (let i = 0; i + 8 <= bytes; i += 8) out.set(bytesOf(BigInt.asUintN(64, lanes(r, row)), 8), i);
  return out;
}

function immediatesFor(shape: Shape, r: Random, addressBytes: number): bigint[] {
  const { row, mode, opsize } = shape;
  const sizes = immediateBytes(row, mode, opsize, addressBytes);
  return sizes.map((bytes, n) => {
    const kind = row.operands.filter((o) => 'IJO'.includes(o.kind))[n]?.kind;
    if (kind === 'O') return BigInt(randomAddress(r, 8, 8));
    if (kind === 'J') {
      if (bytes === 1) return BigInt(r.below(256) - (r.chance(90) ? 0 : 256)) & 0x7fn;
      return BigInt(r.chance(90) ? r.below(4000) : r.u32() | 0);
    }
    if (row.mnemonic === 'ENTER')
      return BigInt(n === 0 ? r.below(256) : r.chance(70) ? r.below(4) : r.below(256));
    if (row.mnemonic === 'RET') return BigInt(r.below(64) * 8);
    return BigInt.asUintN(bytes * 8, integer(r));
  });
}
