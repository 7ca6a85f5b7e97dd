/**
 * The disassembler: Intel syntax from the rows and the decoder, close to `objdump -M intel`:
 * `lock add qword ptr fs:[rax+rcx*4+0x10], rdx`. A RIP-relative operand shows its target, `[rel 0x1006]`; branches
 * show theirs. Bytes that are no instruction come out as `(bad)`.
 */
import { type Decoded, Decoder, NO_REGISTER, RIP_BASE } from './decode.ts';
import { type OperandSpec, operandBytes, type Row } from './row.ts';
import { SEG } from './state.ts';

export interface Disassembled {
  readonly address: bigint;
  readonly length: number;
  readonly text: string;
  /** null where the bytes are no instruction. */
  readonly row: Row | null;
}

const LEGACY_BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** Names of the sixteen conditions as disassemblers write them (SDM volume 1, appendix B). */
const CONDITIONS: Readonly<Record<string, string>> = {
  NB: 'ae',
  Z: 'e',
  NZ: 'ne',
  NBE: 'a',
  NL: 'ge',
  NLE: 'g',
};
/** Mnemonics that differ by operand size: 2, 4, 8 bytes. */
const BY_SIZE: Readonly<Record<string, readonly [string, string, string]>> = {
  CBW: ['cbw', 'cwde', 'cdqe'],
  CWD: ['cwd', 'cdq', 'cqo'],
  PUSHA: ['pusha', 'pushad', ''],
  POPA: ['popa', 'popad', ''],
  PUSHF: ['pushf', 'pushfd', 'pushfq'],
  POPF: ['popf', 'popfd', 'popfq'],
  IRET: ['iret', 'iretd', 'iretq'],
  SYSRET: ['', 'sysret', 'sysretq'],
  SYSEXIT: ['', 'sysexit', 'sysexitq'],
  MOVS: ['movsw', 'movsd', 'movsq'],
  CMPS: ['cmpsw', 'cmpsd', 'cmpsq'],
  STOS: ['stosw', 'stosd', 'stosq'],
  LODS: ['lodsw', 'lodsd', 'lodsq'],
  SCAS: ['scasw', 'scasd', 'scasq'],
  INS: ['insw', 'insd', 'insd'],
  OUTS: ['outsw', 'outsd', 'outsd'],
};
const SIZE_NAMES: Readonly<Record<number, string>> = {
  1: 'byte',
  2: 'word',
  4: 'dword',
  6: 'fword',
  8: 'qword',
  10: 'tbyte',
  16: 'xmmword',
};

export function registerName(n: number, bytes: number, rex: boolean): string {
  if (bytes === 1) return n < 8 ? (((rex ? LOW_BYTES : LEGACY_BYTES)[n] ?? '') as string) : `r${n}b`;
  if (n < 8) return `${bytes === 8 ? 'r' : bytes === 4 ? 'e' : ''}${WORDS[n] ?? ''}`;
  return `r${n}${bytes === 8 ? '' : bytes === 4 ? 'd' : 'w'}`;
}

function hex(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

export class Disassembler {
  readonly #mode: 0 | 1 | 2;
  readonly #decoder: Decoder = new Decoder();

  /** @param mode code mode (x86/state.ts CODE_MODE): 0 = 16-bit, 1 = 32-bit, 2 = 64-bit */
  constructor(mode: 0 | 1 | 2) {
    this.#mode = mode;
  }

  /** The decoder's view of the last instruction. */
  get decoded(): Decoded {
    return this.#decoder.out;
  }

  /** @param address linear address of the byte at `offset`; null = the bytes end within the instruction */
  at(bytes: Uint8Array, offset: number, address: bigint): Disassembled | null {
    if (!this.#decoder.decode(bytes, offset, bytes.length, this.#mode)) return null;
    const { out } = this.#decoder;
    const { row, length } = out;
    const text = row === null ? '(bad)' : this.#text(row, address);
    return { address, length, text, row };
  }

  /** Every instruction of `bytes`, until they end. */
  *all(bytes: Uint8Array, address: bigint): Generator<Disassembled> {
    for (let offset = 0; offset < bytes.length; ) {
      const one = this.at(bytes, offset, address + BigInt(offset));
      if (one === null) return;
      yield one;
      offset += one.length;
    }
  }

  #text(row: Row, address: bigint): string {
    const { out } = this.#decoder;
    const mnemonic = this.#mnemonic(row);
    const operands = mnemonic === 'pause' || mnemonic.startsWith('endbr') ? [] : row.operands;
    const texts = operands.map((spec, i) => this.#operand(row, spec, i, address));
    const name = `${prefixes(row, out)}${mnemonic}`;
    return texts.length === 0 ? name : `${name} ${texts.join(', ')}`;
  }

  #mnemonic(row: Row): string {
    const { out } = this.#decoder;
    const name = row.mnemonic;
    const sized = BY_SIZE[name];
    if (sized !== undefined) return sized[out.opsize === 2 ? 0 : out.opsize === 8 ? 2 : 1];
    if (name === 'JCXZ') return out.addressBits === 16 ? 'jcxz' : out.addressBits === 32 ? 'jecxz' : 'jrcxz';
    if (name === 'NOP' && out.rep) {
      if (row.operands.length === 0) return 'pause';
      if (row.encoding.opcode === 0x1e && this.#decoder.modrm === 0xfa) return 'endbr64';
      if (row.encoding.opcode === 0x1e && this.#decoder.modrm === 0xfb) return 'endbr32';
    }
    if (row.operands.some((o) => o.kind === 'A' || (o.size === 'p' && /^(JMP|CALL)$/.test(name))))
      return `${name.toLowerCase()} far`;
    const condition = /^(J|SET|CMOV)(N?[OBZSPL]E?|NBE|NLE)$/.exec(name);
    if (condition === null) return name.toLowerCase();
    const [, verb = '', cc = ''] = condition;
    return `${verb}${CONDITIONS[cc] ?? cc}`.toLowerCase();
  }

  #operand(row: Row, spec: OperandSpec, i: number, address: bigint): string {
    const { out } = this.#decoder;
    const bytes = operandBytes(spec, out.opsize);
    const inMemory = spec.kind === 'M' || spec.kind === 'O' || (out.memory && 'EWQ'.includes(spec.kind));
    if (inMemory) return this.#memory(row, spec, bytes, address);
    switch (spec.kind) {
      case 'G':
        return registerName(out.reg, bytes, out.rex !== 0);
      case 'E':
      case 'R':
      case 'Z':
        return registerName(out.rm, bytes, out.rex !== 0);
      case 'V':
        return `xmm${out.reg}`;
      case 'W':
      case 'U':
        return `xmm${out.rm}`;
      case 'P':
        return `mm${out.reg}`;
      case 'Q':
      case 'N':
        return `mm${out.rm}`;
      case 'S':
        return SEGMENTS[out.reg] ?? '';
      case 'C':
        return `cr${out.reg}`;
      case 'D':
        return `dr${out.reg}`;
      case 'ST':
        return spec.size === 'STi' ? `st(${out.rm})` : 'st';
      case 'A':
        return `${hex(out.imm2)}:${hex(out.immLow >>> 0)}`;
      case 'J': {
        const target = address + BigInt(out.length) + immediate(out);
        return hex(BigInt.asUintN(out.opsize === 2 ? 16 : this.#mode === 2 ? 64 : 32, target));
      }
      case 'I':
        return hex(i > 0 && row.operands[i - 1]?.kind === 'I' ? out.imm2 : immediate(out));
      default:
        if (spec.size === 'rAX')
          return registerName(0, row.attributes.has('size=z') ? Math.min(bytes, 4) : bytes, true);
        return spec.size.toLowerCase();
    }
  }

  #memory(row: Row, spec: OperandSpec, bytes: number, address: bigint): string {
    const { out } = this.#decoder;
    const size = spec.size === 'p' ? out.opsize + 2 : bytes;
    const name = row.attributes.has('lea') ? undefined : SIZE_NAMES[size];
    return `${name === undefined ? '' : `${name} ptr `}${this.#segment(row)}[${this.#effectiveAddress(address)}]`;
  }

  /** The segment where it is not the one the address has by itself. */
  #segment(row: Row): string {
    const { out } = this.#decoder;
    if (out.override < 0 || row.attributes.has('lea')) return '';
    const own = out.base === 5 || (out.base === 4 && out.addressBits !== 16) ? SEG.SS : SEG.DS;
    return out.override === own ? '' : `${SEGMENTS[out.override] ?? ''}:`;
  }

  #effectiveAddress(address: bigint): string {
    const { out } = this.#decoder;
    const displacement = (BigInt(out.dispHigh) << 32n) | BigInt(out.dispLow >>> 0);
    const { addressBits } = out;
    if (out.base === RIP_BASE)
      return `rel ${hex(BigInt.asUintN(addressBits, address + BigInt(out.length) + displacement))}`;
    const bytes = addressBits / 8;
    const parts: string[] = [];
    if (out.base !== NO_REGISTER) parts.push(registerName(out.base, bytes, true));
    if (out.index !== NO_REGISTER) {
      const scale = out.scale === 0 ? '' : `*${1 << out.scale}`;
      parts.push(`${registerName(out.index, bytes, true)}${scale}`);
    }
    if (parts.length === 0) return hex(BigInt.asUintN(addressBits, displacement));
    const sum = parts.join('+');
    if (displacement === 0n) return sum;
    return displacement < 0n ? `${sum}-${hex(-displacement)}` : `${sum}+${hex(displacement)}`;
  }
}

/** Immediate as the decoder left it: unsigned 64 bits, zero-extended from the operand size. */
function immediate(out: Decoded): bigint {
  return BigInt.asUintN(64, (BigInt(out.immHigh) << 32n) | BigInt(out.immLow >>> 0));
}

function prefixes(row: Row, out: Decoded): string {
  const lock = out.lock ? 'lock ' : '';
  const ports = /^(INS|OUTS)B?$/.test(row.mnemonic);
  if (!row.attributes.has('string') && !ports) return lock;
  const segment =
    out.override >= 0 && !/^(STOS|SCAS|INS)/.test(row.mnemonic) ? `${SEGMENTS[out.override] ?? ''} ` : '';
  const compares = /^(CMPS|SCAS)/.test(row.mnemonic);
  const repeat = out.repne ? (compares ? 'repne ' : 'rep ') : out.rep ? (compares ? 'repe ' : 'rep ') : '';
  return `${lock}${repeat}${segment}`;
}
