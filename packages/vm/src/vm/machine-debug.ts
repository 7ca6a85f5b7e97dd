/** A machine as a debugger sees it. One vCPU: the first. */
import type { DebugTarget, StopReason } from '../debug/debug-target.ts';
import { pagesOf, translate } from '../debug/page-walk.ts';
import type { Breakpoint } from '../machine/vcpu.ts';
import type { VcpuRecord } from '../machine/vcpu-state.ts';
import type { DebugExit, Machine } from './machine.ts';

function reasonOf(exit: DebugExit): StopReason {
  if (exit.cause === 'step') return { kind: 'step' };
  if (exit.cause === 'execute') return { kind: 'breakpoint' };
  return { kind: 'watchpoint', access: exit.cause, address: exit.address };
}

export class MachineDebugTarget implements DebugTarget {
  readonly #machine: Machine;
  #stopped: ((reason: StopReason) => void) | undefined;

  constructor(machine: Machine) {
    this.#machine = machine;
    machine.onDebugExit = (exit) => this.#tell(reasonOf(exit));
    void machine.exited.then(() => this.#tell({ kind: 'ended' }));
  }

  async interrupt(): Promise<void> {
    if (this.#machine.state === 'ended') return;
    await this.#machine.debugStop();
    this.#tell({ kind: 'interrupted' });
  }

  async resume(mode: 'continue' | 'step', breakpoints: readonly Breakpoint[]): Promise<StopReason> {
    if (this.#machine.state === 'ended') return { kind: 'ended' };
    if (mode === 'step') await this.#holdInterrupts();
    const stopped = new Promise<StopReason>((resolve) => {
      this.#stopped = resolve;
    });
    await this.#machine.debugRun({ singleStep: mode === 'step', breakpoints });
    return stopped;
  }

  /** For one instruction, as STI does: a timer is always due after a stop, and every step would end in its handler. */
  async #holdInterrupts(): Promise<void> {
    const cpu = await this.readRegisters();
    // A halted vCPU goes on only by an interrupt.
    if (cpu.events.shadow !== 'none' || cpu.activity !== 'running') return;
    cpu.events.shadow = 'sti';
    await this.writeRegisters(cpu);
  }

  async readRegisters(): Promise<VcpuRecord> {
    const record = this.#machine.debugRecords()[0];
    if (record === undefined) throw new Error('the machine runs');
    return structuredClone(record);
  }

  async writeRegisters(record: VcpuRecord): Promise<void> {
    await this.#machine.debugWrite([record, ...this.#machine.debugRecords().slice(1)]);
  }

  async readMemory(address: bigint, length: number): Promise<Uint8Array> {
    const cpu = await this.readRegisters();
    const bytes = new Uint8Array(length);
    let done = 0;
    for (const page of pagesOf(address, length)) {
      const gpa = translate(this.#machine.memory, cpu, page.address);
      const target = bytes.subarray(done, done + page.length);
      if (gpa === undefined || !this.#machine.memory.read(gpa, target)) break;
      done += page.length;
    }
    return bytes.subarray(0, done);
  }

  async writeMemory(address: bigint, bytes: Uint8Array): Promise<boolean> {
    const cpu = await this.readRegisters();
    const pages = [...pagesOf(address, bytes.length)];
    const places = pages.map((page) => {
      const gpa = translate(this.#machine.memory, cpu, page.address);
      return gpa !== undefined && this.#machine.memory.offsetOf(gpa, page.length) >= 0 ? gpa : undefined;
    });
    let done = 0;
    for (const [i, page] of pages.entries()) {
      const gpa = places[i];
      if (gpa === undefined || places.includes(undefined)) return false;
      this.#machine.memory.write(gpa, bytes.subarray(done, done + page.length));
      done += page.length;
    }
    return true;
  }

  async detach(): Promise<void> {
    if (this.#machine.state !== 'paused') return;
    await this.#machine.debugRun({ singleStep: false, breakpoints: [] });
  }

  async kill(): Promise<void> {
    await this.#machine.powerOff();
  }

  #tell(reason: StopReason): void {
    this.#stopped?.(reason);
    this.#stopped = undefined;
  }
}
