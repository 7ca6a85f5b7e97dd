/**
 * A machine's states and what may be done in each.
 *
 *   created ──start──▶ running ◀──resume── paused          reset keeps the state
 *                         └─────pause──────▶ ┘             end: from any state, for good
 */
import { VmError } from '../base/errors.ts';

export type MachineState = 'created' | 'running' | 'paused' | 'ended';
export type Operation = 'start' | 'pause' | 'resume' | 'reset' | 'powerButton' | 'debug';

const ALLOWED: Readonly<Record<Operation, readonly MachineState[]>> = {
  start: ['created'],
  pause: ['running'],
  resume: ['paused'],
  reset: ['running', 'paused'],
  powerButton: ['running'],
  debug: ['running', 'paused'],
};

/** One operation at a time: each waits for the one before, and is checked against the state it then finds. */
export class Lifecycle {
  #state: MachineState = 'created';
  #last: Promise<unknown> = Promise.resolve();

  get state(): MachineState {
    return this.#state;
  }

  /** @param work does the operation and gives the state after it @throws VmError VM_STATE */
  perform(operation: Operation, work: () => Promise<MachineState>): Promise<void> {
    return this.#exclusive(async () => {
      if (!ALLOWED[operation].includes(this.#state)) {
        throw new VmError('VM_STATE', {
          message: `The machine is ${this.#state}; '${operation}' needs one that is ${ALLOWED[operation].join(' or ')}`,
          remedy: this.#state === 'ended' ? 'Start a new machine' : 'Look at its state first',
          data: { state: this.#state, operation },
        });
      }
      this.#state = await work();
    });
  }

  /** Ends the machine, unless it has ended; what fails while it goes down no longer matters to the state. */
  end(work: () => Promise<void>): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#state === 'ended') return;
      this.#state = 'ended';
      await work();
    });
  }

  #exclusive(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
