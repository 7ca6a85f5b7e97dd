/**
 * A vCPU of the soft engine: the loop around the interpreter (generated code) and the cold part (engine/system).
 *
 *   poll events → run at most until the next timer → deliver the fault, if any → poll …
 */
import { LOW_RAM_END, HIGH_RAM_BASE, VCPU_BASE, VCPU_STRIDE } from '../machine/layout.ts';
import { VcpuMailbox } from '../machine/mailbox.ts';
import type {
  Breakpoint,
  DebugControl,
  RegionReport,
  SoftVcpu,
  SoftVcpuOptions,
  TranslationStats,
  VcpuExit,
} from '../machine/vcpu.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import type { WasmModule } from '../wasm/api.ts';
import { CountedRun } from './deterministic.ts';
import { GuestClock } from './guest-clock.ts';
import { Interpreter, type RunResult } from './interpreter.ts';
import { Cpu, createSystem, type SystemUnit } from './system/index.ts';
import type { Translate } from './translate/region-tier.ts';

/** Instructions between two looks at the clock: about a millisecond, so that V8's optimised code takes over soon. */
const LEAST_MAX_BUDGET = 120_000;
/** Time between two looks where code runs faster than that. */
const LOOK_EVERY_NS = 500_000;
const MIN_BUDGET = 500;
/** Translated code stops late: this many instructions before a sample, it goes on one by one. */
const SAMPLE_WINDOW = 256;
const NO_DEBUG: DebugControl = { singleStep: false, breakpoints: [] };

/**
 * @param translate the translator (translate/translate.ts), or what a test has instead. Not imported here: a vCPU
 *   with a compile thread never calls it, and its forty modules would delay the first instruction.
 */
export function createSoftVcpu(options: SoftVcpuOptions, translate: Translate): SoftVcpu {
  return new InterpretedVcpu(options, translate);
}

class InterpretedVcpu implements SoftVcpu {
  readonly #o: SoftVcpuOptions;
  readonly #interpreter: Interpreter;
  readonly #system: SystemUnit;
  readonly #mailbox: VcpuMailbox;
  readonly #clock: GuestClock;
  /** Deterministic mode. */
  readonly #counted: CountedRun | undefined;
  #debug: DebugControl = NO_DEBUG;
  /** A debugger's watchpoint that the instruction in progress met. */
  #watched: Breakpoint | null = null;
  /** The debugger has seen this stop: go past the breakpoint at RIP. */
  #resumeAt: bigint | null = null;
  #retired = 0;
  #instructionsPerNs = 0.05;

  constructor(options: SoftVcpuOptions, translate: Translate) {
    this.#o = options;
    this.#clock = new GuestClock(options.clock);
    const { memory, layout, index, bus } = options;
    const mailboxes = Array.from(
      { length: layout.vcpus },
      (_, i) => new VcpuMailbox(memory.buffer, VCPU_BASE + i * VCPU_STRIDE),
    );
    this.#mailbox = mailboxes[index] as VcpuMailbox;
    this.#interpreter = new Interpreter({
      memory,
      module: options.module as WasmModule,
      layout,
      index,
      translation:
        options.translate === undefined || options.translate.tier === 'off'
          ? undefined
          : {
              options: options.translate,
              translate,
              nowNs: () => options.clock.nowNs(),
              compiler: options.compiler,
            },
      exact: options.counted !== undefined,
      hooks: {
        mmioRead: (low, high, bytes) => {
          const gpa = high * 2 ** 32 + low;
          if (this.#counted !== undefined) this.#interpreter.leaveSoon();
          const own = this.#system.mmioRead(gpa, bytes);
          return own >= 0 ? own : bus.readMmio(gpa, bytes as 1 | 2 | 4);
        },
        mmioWrite: (low, high, bytes, value) => {
          const gpa = high * 2 ** 32 + low;
          if (this.#counted !== undefined) this.#interpreter.leaveSoon();
          if (!this.#system.mmioWrite(gpa, bytes, value >>> 0))
            bus.writeMmio(gpa, bytes as 1 | 2 | 4, value >>> 0);
        },
        system: (operation, record) =>
          this.#counted === undefined
            ? this.#system.operation(operation, record)
            : this.#counted.operation(operation, record),
        clockNs: (before) =>
          this.#counted === undefined ? this.#clock.nowNs() : this.#counted.clockNs(this.#clock, before),
        watch: (low, high, bytes, write) =>
          this.#watch((BigInt(high) << 32n) | BigInt(low), bytes, write !== 0),
      },
    });
    const cpu = new Cpu(memory.buffer, index);
    this.#system = createSystem(cpu, this.#interpreter, {
      bus,
      clock: this.#clock,
      random: options.random,
      mailboxes,
      model: options.model,
      onInterrupt: options.counted === undefined ? undefined : (vector) => this.#counted?.interrupted(vector),
    });
    const machine = {
      cpu,
      interpreter: this.#interpreter,
      system: this.#system,
      mailbox: this.#mailbox,
      layout,
      sampler: options.sampler,
    };
    this.#counted = options.counted === undefined ? undefined : new CountedRun(options.counted, machine);
  }

  load(record: VcpuRecord, resumes = false): void {
    this.#system.load(record);
    if (!resumes) this.#interpreter.code.flush();
    this.#interpreter.flush(true);
    this.#interpreter.modeChanged();
    this.#resumeAt = null;
  }
  save(): VcpuRecord {
    return this.#system.save();
  }
  retired(): bigint {
    return BigInt(this.#counted?.count ?? this.#retired);
  }
  translationStats(): TranslationStats | undefined {
    const stats = this.#interpreter.translationStats();
    const { cpuNs } = this.#o;
    return stats === undefined || cpuNs === undefined ? stats : { ...stats, vcpuMs: cpuNs() / 1e6 };
  }
  regions(address?: bigint): RegionReport[] {
    const { log } = this.#interpreter;
    const { compilerOf } = this.#o;
    const reports = log?.reports(address) ?? [];
    if (compilerOf === undefined) return reports;
    return reports.map((report) => {
      const run = log?.functionOf(report.number);
      return report.gone || run === undefined ? report : { ...report, compiler: compilerOf(run) };
    });
  }
  setDebug(control: DebugControl): void {
    this.#debug = control;
    this.#interpreter.setWatching(control.breakpoints.some((b) => b.kind !== 'execute'));
  }

  run(): VcpuExit {
    this.#clock.go();
    try {
      return this.#loop();
    } finally {
      this.#clock.stop();
      this.#counted?.flush();
    }
  }

  #loop(): VcpuExit {
    const system = this.#system;
    for (;;) {
      this.#counted?.between();
      const next = system.pollEvents();
      this.#dropCode();
      switch (next) {
        case 'run':
          break;
        case 'halt':
          this.#sleep();
          continue;
        case 'stop':
          return { kind: 'stopped' };
        case 'reset':
          return { kind: 'reset' };
        case 'shutdown':
          return { kind: 'shutdown', why: system.shutdownReason() };
        default:
          next satisfies never;
      }
      const exit = this.#execute();
      if (exit !== null) return exit;
    }
  }

  /** Runs one budget's worth. */
  #execute(): VcpuExit | null {
    const system = this.#system;
    const interpreter = this.#interpreter;
    const stepping = system.stepping();
    const debugging = this.#debug.singleStep || this.#debug.breakpoints.length > 0;
    const wholeBlocks = this.#debug.wholeBlocks === true && this.#debug.breakpoints.length === 0;
    const alone = stepping || (debugging && !wholeBlocks) || system.instructionLimit() === 1;
    const toSample = this.#o.sampler?.left() ?? Infinity;
    const single = this.#counted?.single(alone) ?? (alone || toSample <= SAMPLE_WINDOW);
    interpreter.setSingle(single);
    interpreter.setRegions(!debugging);
    if (debugging) {
      const hit = this.#executeBreakpoint(interpreter.rip);
      if (hit !== null) return hit;
    }
    if (stepping && system.beforeInstruction()) return this.#deliver();
    const result =
      this.#counted === undefined
        ? this.#run(alone || debugging, toSample)
        : this.#runCounted(this.#counted, single, alone || debugging);
    if (result === 'fault') {
      const exit = this.#deliver();
      if (exit !== null) return exit;
    } else if (stepping) system.afterInstruction();
    return debugging ? this.#debugStop() : null;
  }

  #run(one: boolean, toSample: number): RunResult {
    const interpreter = this.#interpreter;
    const unsampled = toSample <= SAMPLE_WINDOW ? toSample : toSample - SAMPLE_WINDOW;
    const budget = one ? 1 : Math.min(this.#budget(), unsampled);
    interpreter.budget = budget;
    const started = one && toSample === Infinity ? 0 : this.#clock.nowNs();
    const result = interpreter.run();
    const done = Math.max(0, budget - interpreter.budget);
    this.#retired += done;
    if (!one && done > 10_000) this.#measure(done, started);
    this.#o.sampler?.ran(done, this.#clock.nowNs() - started);
    return result;
  }
  #runCounted(counted: CountedRun, single: boolean, one: boolean): RunResult {
    counted.begin(single, one);
    const result = this.#interpreter.run();
    return counted.finish() ? 'boundary' : result;
  }

  #deliver(): VcpuExit | null {
    if (this.#system.deliverException() !== 'shutdown') return null;
    return { kind: 'shutdown', why: this.#system.shutdownReason() };
  }

  /** Instructions that fit before the next timer event. */
  #budget(): number {
    const deadline = this.#system.nextDeadlineNs();
    const most = Math.max(LEAST_MAX_BUDGET, LOOK_EVERY_NS * this.#instructionsPerNs);
    if (deadline === Infinity) return Math.ceil(most);
    const left = (deadline - this.#clock.nowNs()) * this.#instructionsPerNs;
    return Math.ceil(Math.min(most, Math.max(MIN_BUDGET, left)));
  }
  #measure(done: number, started: number): void {
    const elapsed = this.#clock.nowNs() - started;
    if (elapsed <= 0) return;
    this.#instructionsPerNs += (done / elapsed - this.#instructionsPerNs) / 8;
  }

  #sleep(): void {
    if (this.#counted !== undefined) {
      this.#counted.sleep();
      return;
    }
    const left = (this.#system.nextDeadlineNs() - this.#clock.nowNs()) / 1e6;
    if (left > 0) this.#mailbox.sleep(left);
  }

  /** Drops decoded code that devices or other vCPUs overwrote. */
  #dropCode(): void {
    const { code } = this.#interpreter;
    if (this.#system.takeCodeFlush()) code.flush();
    for (const page of this.#mailbox.takeInvalidations()) {
      const gpa = page * 4096;
      const offset = gpa < LOW_RAM_END ? gpa : gpa - HIGH_RAM_BASE + LOW_RAM_END;
      code.written(this.#o.layout.ramOffset + offset, 4096);
    }
  }

  // ---- a debugger's wishes ----

  #executeBreakpoint(rip: bigint): VcpuExit | null {
    const address = BigInt.asUintN(64, rip);
    if (this.#resumeAt === address) {
      this.#resumeAt = null;
      return null;
    }
    this.#resumeAt = null;
    if (!this.#debug.breakpoints.some((b) => b.kind === 'execute' && b.address === address)) return null;
    this.#resumeAt = address;
    return { kind: 'debug', cause: 'execute', address };
  }

  #watch(va: bigint, bytes: number, write: boolean): void {
    this.#system.matchData(va, bytes, write);
    for (const b of this.#debug.breakpoints) {
      if (b.kind === 'execute' || (b.kind === 'write' && !write)) continue;
      if (va < b.address + BigInt(b.length) && b.address < va + BigInt(bytes)) this.#watched = b;
    }
  }

  #debugStop(): VcpuExit | null {
    const watched = this.#watched;
    this.#watched = null;
    if (watched !== null) return { kind: 'debug', cause: watched.kind, address: watched.address };
    if (!this.#debug.singleStep) return null;
    this.#resumeAt = BigInt.asUintN(64, this.#interpreter.rip);
    return { kind: 'debug', cause: 'step', address: this.#resumeAt };
  }
}
