/** CPUID, performance counters (none), random numbers, hypercalls. */
import type { Clock, Randomness } from '../../base/ports.ts';
import type { CpuModel, CpuidLeaf } from '../../machine/vcpu.ts';
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { STATUS } from '../unit.ts';
import type { Apic } from './apic.ts';
import { type Cpu, MODE } from './cpu.ts';
import type { Operations } from './operation.ts';
import type { PhysicalMemory } from './physical.ts';
import type { TimeStampCounter } from './tsc.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
/** Leaves whose subleaf in ECX counts. */
const INDEXED: ReadonlySet<number> = new Set([0x4, 0x7, 0xb, 0xd, 0x1f]);
const HYPERVISOR_FIRST = 0x4000_0000;
const EXTENDED_FIRST = 0x8000_0000;
/** Hypercalls (Linux, include/uapi/linux/kvm_para.h). */
const KVM_HC_CLOCK_PAIRING = 9n;
const KVM_EPERM = 1n;
const KVM_EFAULT = 14n;
const KVM_EOPNOTSUPP = 95n;
const KVM_ENOSYS = 1000n;

function key(leaf: number, subleaf: number): number {
  return leaf * 256 + (subleaf & 0xff);
}

export class Identity {
  readonly #cpu: Cpu;
  readonly #apic: Apic;
  readonly #tsc: TimeStampCounter;
  readonly #clock: Clock;
  readonly #random: Randomness;
  readonly #physical: PhysicalMemory;
  readonly #leaves: ReadonlyMap<number, CpuidLeaf>;
  readonly #maxBasic: number;
  readonly #maxExtended: number;
  readonly #entropy = new Uint8Array(8);

  constructor(
    cpu: Cpu,
    apic: Apic,
    tsc: TimeStampCounter,
    clock: Clock,
    random: Randomness,
    physical: PhysicalMemory,
    model: CpuModel,
  ) {
    this.#cpu = cpu;
    this.#apic = apic;
    this.#tsc = tsc;
    this.#clock = clock;
    this.#random = random;
    this.#physical = physical;
    this.#leaves = new Map(model.leaves.map((leaf) => [key(leaf.leaf, leaf.subleaf), leaf]));
    this.#maxBasic = this.#leaves.get(key(0, 0))?.eax ?? 0;
    this.#maxExtended = this.#leaves.get(key(EXTENDED_FIRST, 0))?.eax ?? EXTENDED_FIRST;
  }

  operations(): Operations {
    const cpu = this.#cpu;
    return {
      CPUID: () => this.#cpuid(),
      // There are no counters: privileged or not, every index is invalid.
      RDPMC: () => cpu.faultCode(VECTOR.GP, 0),
      RDRAND: (record) => this.#readRandom(record),
      HYPERCALL: () => this.#hypercall(),
    };
  }

  #cpuid(): number {
    const cpu = this.#cpu;
    let leaf = cpu.gpr32(RAX);
    // Beyond the last leaf Intel processors answer as for the last basic one.
    const hypervisor = leaf >= HYPERVISOR_FIRST && leaf < HYPERVISOR_FIRST + 0x100;
    const beyond = leaf >= EXTENDED_FIRST ? leaf > this.#maxExtended : leaf > this.#maxBasic;
    if (beyond && !hypervisor) leaf = this.#maxBasic;
    const subleaf = INDEXED.has(leaf) ? cpu.gpr32(RCX) : 0;
    const found = subleaf < 256 ? this.#leaves.get(key(leaf, subleaf)) : undefined;
    const eax = found?.eax ?? 0;
    let ebx = found?.ebx ?? 0;
    let ecx = found?.ecx ?? 0;
    let edx = found?.edx ?? 0;
    if (leaf === 1) {
      ebx = (ebx & 0xff_ffff) | (this.#apic.id << 24);
      if (!this.#apic.enabled) edx &= ~0x200;
    } else if (leaf === 0xb) {
      if (found === undefined) ecx = subleaf & 0xff;
      edx = this.#apic.id;
    }
    cpu.setGpr32(RAX, eax);
    cpu.setGpr32(RBX, ebx);
    cpu.setGpr32(RCX, ecx);
    cpu.setGpr32(RDX, edx);
    return STATUS.NEXT;
  }

  /** RDRAND and RDSEED always succeed: CF = 1, the other flags 0. */
  #readRandom(record: number): number {
    const cpu = this.#cpu;
    const bytes = cpu.operandSize;
    this.#random.fill(this.#entropy);
    const value = this.#entropy.subarray(0, bytes).reduce((all, byte) => (all << 8n) | BigInt(byte), 0n);
    cpu.writeRegister(cpu.rmOffset(record), bytes, value);
    cpu.arithmeticFlags = S.FLAG.CF;
    return STATUS.NEXT;
  }

  #hypercall(): number {
    const cpu = this.#cpu;
    const long = cpu.codeMode === MODE.BITS_64;
    const mask = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
    let result: bigint;
    if (cpu.cpl !== 0) result = -KVM_EPERM;
    else if ((cpu.gpr(RAX) & mask) !== KVM_HC_CLOCK_PAIRING) result = -KVM_ENOSYS;
    else result = this.#pairClocks(cpu.gpr(RBX) & mask, cpu.gpr(RCX) & mask);
    cpu.setGpr(RAX, BigInt.asUintN(64, result) & mask);
    return STATUS.NEXT;
  }

  /** struct kvm_clock_pairing: s64 seconds · s64 nanoseconds · u64 TSC · u32 flags · u32 × 9 zero. */
  #pairClocks(gpa: bigint, type: bigint): bigint {
    if (type !== 0n) return -KVM_EOPNOTSUPP;
    const host = this.#physical.locate(gpa, 64);
    if (host === 0) return -KVM_EFAULT;
    const { memory } = this.#cpu;
    const now = this.#clock.realtimeNs();
    memory.setBigUint64(host, now / 1_000_000_000n, true);
    memory.setBigUint64(host + 8, now % 1_000_000_000n, true);
    memory.setBigUint64(host + 16, this.#tsc.now(), true);
    for (let i = 24; i < 64; i += 8) memory.setBigUint64(host + i, 0n, true);
    this.#physical.written(host, 64);
    return 0n;
  }
}
