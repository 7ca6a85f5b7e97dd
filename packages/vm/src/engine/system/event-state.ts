/** What a vCPU remembers between instructions beyond its registers. */
import type { Activity } from '../../machine/vcpu-state.ts';
import * as S from '../../x86/state.ts';
import type { Cpu } from './cpu.ts';

export class EventState {
  activity: Activity = 'running';
  nmiPending = false;
  /** An interrupt that was acknowledged before the state was saved. */
  acknowledged: number | null = null;
  /** A FLUSH_CODE request was taken: whoever keeps decoded code drops it all and clears this. */
  flushCode = false;
  /** The instruction just done cleared TF on its way (INT n, SYSCALL): no single-step trap after it. */
  skipTrap = false;
  readonly #cpu: Cpu;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Between the delivery of an NMI and the next IRET. */
  get nmiBlocked(): boolean {
    return this.#cpu.get32(S.NMI_BLOCKED) !== 0;
  }
  set nmiBlocked(blocked: boolean) {
    this.#cpu.set32(S.NMI_BLOCKED, blocked ? 1 : 0);
  }

  /** RF is kept only while instruction breakpoints exist: nothing else can see it. */
  get resumeMatters(): boolean {
    return (this.#cpu.get32(S.DR + 7 * 8) & 0xff) !== 0;
  }

  /** IF may have been set: makes the run loop leave after this block if somebody waits for that. */
  openWindow(): void {
    const cpu = this.#cpu;
    if ((cpu.systemFlags & S.FLAG.IF) !== 0 && cpu.get32(S.INTERRUPT_WINDOW) !== 0) cpu.leaveSoon();
    if (this.nmiPending && !this.nmiBlocked) cpu.leaveSoon();
  }

  /** Does the shadow of STI or MOV SS cover the instruction at RIP? 0, 1 (interrupts), 2 (debug traps too). */
  get shadow(): number {
    const cpu = this.#cpu;
    const kind = cpu.get32(S.INTERRUPT_SHADOW);
    if (kind === 0) return 0;
    if (cpu.get64(S.SHADOW_RIP) === cpu.rip) return kind;
    cpu.set32(S.INTERRUPT_SHADOW, 0);
    return 0;
  }
}
