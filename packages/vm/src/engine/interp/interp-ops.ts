/**
 * Operations bound to decoded records: operands come from the record at run time. One instance stages one handler.
 * Hot handlers get memory accesses inline; the others call the warm functions of engine/mmu.
 */
import { apply, call, E, i32, i64, select } from '../../x86/expr.ts';
import { FIXED_REGISTER, type Form, LOAD, Ops, STORE, VECTOR, vectorOf } from '../../x86/ops.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import * as S from '../../x86/state.ts';
import { addressMask, addressSum } from './record-fields.ts';
import { tlbEntry, tlbHost, tlbOffset } from '../mmu/access.ts';

const { REC } = S;

/** The record being executed. */
export const RECORD: E = new E('rec', 'i32');

export class InterpOps extends Ops {
  readonly #inline: boolean;
  readonly #addresses = new Map<number, E>();
  /** Host address of a read-modify-write operand, 0 = slow. */
  #rmw: E | null = null;

  constructor(form: Form, inline: boolean) {
    super(form);
    this.#inline = inline;
  }

  #field16(offset: number): E {
    return apply('i32.load16_u', [RECORD], offset);
  }
  #field64(offset: number): E {
    return apply('i64.load', [RECORD], offset);
  }
  #faultCheck(): void {
    this.if(this.state32(S.FAULT), () => this.end('exit'));
  }

  // ---- operands ----

  registerAddress(i: number): E {
    const spec = this.operand(i);
    if (spec.kind === 'fixed') {
      const n = FIXED_REGISTER[spec.size];
      if (n === undefined) throw new Error(`${this.row.text}: operand ${i} is no register`);
      return this.cpu.add(S.GPR + (spec.size === 'AH' ? 1 : n * 8));
    }
    return this.cpu.add(this.#field16('EZRWUQN'.includes(spec.kind) ? REC.RM : REC.REG));
  }
  registerNumber(i: number): E {
    return this.let(this.#field16(this.operand(i).kind === 'ST' ? REC.RM : REC.REG));
  }
  effectiveAddress(_i: number): E {
    return addressSum(this, RECORD);
  }
  address(i: number): E {
    let va = this.#addresses.get(i);
    if (va === undefined) {
      // segment bases and narrower addresses were folded into EA_SCRATCH by a micro-operation before
      va = this.effectiveAddress(i);
      this.#addresses.set(i, va);
    }
    return va;
  }

  get(i: number): E {
    const spec = this.operand(i);
    const bytes = this.bytes(i);
    switch (spec.kind) {
      case 'I':
        return this.let(this.#field64(i > 0 && this.operand(i - 1).kind === 'I' ? REC.DISP : REC.IMM));
      case 'A':
        return this.let(this.#field64(REC.IMM));
      case 'J': {
        const target = this.nextRip.add(this.#field64(REC.IMM));
        return this.let(this.size === 8 ? target : target.zeroExtend(this.size));
      }
      case 'fixed':
        if (spec.size === '1' || spec.size === '3') return i64(Number(spec.size));
        if (spec.size === 'XMM0') return this.xmm(0);
        break;
      case 'V':
      case 'W':
      case 'U':
        if (!this.isMemory(i)) return this.hostLoad('v128.load', this.registerAddress(i));
        if (bytes === 16) return this.load128(this.address(i));
        return this.let(vectorOf(this.load(bytes, this.address(i))));
      default:
    }
    if (this.isMemory(i)) {
      const va = this.address(i);
      if (bytes === 16) return this.load128(va);
      return spec.access === 'rw' ? this.#loadForUpdate(bytes, va) : this.load(bytes, va);
    }
    return this.hostLoad(LOAD[bytes] as string, this.registerAddress(i));
  }

  set(i: number, value: E): void {
    const spec = this.operand(i);
    const bytes = this.bytes(i);
    if (this.isMemory(i)) {
      if (value.ty === 'v128') {
        if (bytes === 16) this.store128(this.address(i), value);
        else this.store(bytes, this.address(i), value.lane('i64x2.extract_lane', 0));
      } else if (this.#rmw !== null) this.#storeUpdated(bytes, value);
      else this.store(bytes, this.address(i), value);
      return;
    }
    const at = this.registerAddress(i);
    if (value.ty === 'v128') this.hostStore('v128.store', at, value);
    else if ('PQN'.includes(spec.kind)) this.hostStore('i64.store', at, value);
    else if (bytes === 4) this.hostStore('i64.store', at, value.zeroExtend(4));
    else this.hostStore(STORE[bytes] as string, at, value);
  }

  getLow(i: number, bytes: 4 | 8): E {
    if (this.isMemory(i)) return this.load(bytes, this.address(i));
    return this.hostLoad(LOAD[bytes] as string, this.registerAddress(i));
  }
  setLow(i: number, bytes: 4 | 8, value: E): void {
    if (this.isMemory(i)) this.store(bytes, this.address(i), value);
    else this.hostStore(bytes === 8 ? 'i64.store' : 'i64.store32', this.registerAddress(i), value);
  }

  get rip(): E {
    return this.let(this.state64(S.BLOCK_RIP).add(this.#field16(REC.OFFSET).u64()));
  }
  get nextRip(): E {
    return this.let(this.rip.add(apply('i64.load8_u', [RECORD], REC.LENGTH)));
  }
  get #flags(): E {
    return apply('i32.load8_u', [RECORD], REC.FLAGS);
  }
  get addressMask(): E {
    return addressMask(this, RECORD);
  }
  get repeat(): E {
    return this.let(this.#flags.and(S.RECORD_FLAG.REP | S.RECORD_FLAG.REPNE));
  }
  get modrm(): E {
    return this.#field16(REC.EXTRA);
  }
  get sourceSegment(): E {
    return this.let(apply('i32.load8_u', [RECORD], REC.SEGMENT));
  }
  get sourceSegmentBase(): E {
    const segment = this.sourceSegment;
    const base = this.hostLoad(
      'i64.load',
      this.cpu.add(segment.mul(S.SEGMENT_STRIDE)),
      S.SEGMENTS + S.SEG_BASE,
    );
    return this.let(select(segment.ltU(S.SEG.FS).and(this.state32(S.CODE_MODE).eq(2)), i64(0), base));
  }
  segmentBase(index: number): E {
    const base = this.state64(S.SEGMENTS + index * S.SEGMENT_STRIDE + S.SEG_BASE);
    return index >= S.SEG.FS ? base : this.let(select(this.state32(S.CODE_MODE).eq(2), i64(0), base));
  }

  timestamp(): E {
    return this.let(call('read_tsc', 'i64', this.#field16(REC.COUNT)));
  }

  // ---- memory ----

  load(bytes: number, va: E): E {
    if (!this.#inline) {
      const value = this.let(call(`load${bytes}`, 'i64', va));
      this.#faultCheck();
      return value;
    }
    const value = this.var('i64');
    const entry = tlbEntry(this, va);
    const offset = tlbOffset(this, entry, 0, va);
    this.if(
      offset.gtU(4096 - bytes),
      () => {
        value.set(call('load_slow', 'i64', va, i32(bytes), i32(0)));
        this.#faultCheck();
      },
      () => value.set(this.hostLoad(LOAD[bytes] as string, tlbHost(this, entry, offset))),
    );
    return value.get();
  }
  store(bytes: number, va: E, value: E): void {
    if (!this.#inline) {
      this.callVoid(`store${bytes}`, va, value);
      this.#faultCheck();
      return;
    }
    const v = this.let(value);
    const entry = tlbEntry(this, va);
    const offset = tlbOffset(this, entry, 8, va);
    this.if(
      offset.gtU(4096 - bytes),
      () => {
        this.callVoid('store_slow', va, v, i32(bytes));
        this.#faultCheck();
      },
      () => this.hostStore(STORE[bytes] as string, tlbHost(this, entry, offset), v),
    );
  }
  load128(va: E): E {
    this.#checkAlignment(va);
    const value = this.let(call('load16', 'v128', va));
    this.#faultCheck();
    return value;
  }
  store128(va: E, value: E): void {
    this.#checkAlignment(va);
    this.callVoid('store16', va, value);
    this.#faultCheck();
  }
  #checkAlignment(va: E): void {
    if (!this.has('unaligned')) this.raiseIf(va.and(15).ne(0), VECTOR.GP, 0);
  }
  probeWrite(bytes: number, va: E): void {
    this.callVoid('probe_write', va, i32(bytes));
    this.#faultCheck();
  }

  #loadForUpdate(bytes: number, va: E): E {
    const value = this.var('i64');
    const host = this.var('i32');
    const slow = (): void => {
      value.set(call('load_slow', 'i64', va, i32(bytes), i32(1)));
      this.#faultCheck();
    };
    if (this.#inline) {
      const entry = tlbEntry(this, va);
      const offset = tlbOffset(this, entry, 8, va);
      this.if(
        offset.gtU(4096 - bytes),
        () => {
          host.set(0);
          slow();
        },
        () => {
          host.set(tlbHost(this, entry, offset));
          value.set(this.hostLoad(LOAD[bytes] as string, host.get()));
        },
      );
    } else {
      host.set(call('rmw_host', 'i32', va, i32(bytes)));
      this.#faultCheck();
      this.if(host.get().eqz(), slow, () => value.set(this.hostLoad(LOAD[bytes] as string, host.get())));
    }
    this.#rmw = host.get();
    return value.get();
  }
  #storeUpdated(bytes: number, value: E): void {
    const host = this.#rmw as E;
    const v = this.let(value);
    this.if(
      host.eqz(),
      () => {
        this.callVoid('store_slow', this.address(0), v, i32(bytes));
        this.#faultCheck();
      },
      () => this.hostStore(STORE[bytes] as string, host, v),
    );
  }

  system(name: string): void {
    const number = SYSTEM_NAMES.indexOf(name);
    if (number < 0) throw new Error(`${name} is not a system operation`);
    this.return(call('system', 'i32', i32(number), RECORD));
  }
}
