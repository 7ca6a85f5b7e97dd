/**
 * In deterministic mode devices' back ends touch the guest only while its vCPU waits at a counted instruction: a
 * meeting. The vCPU asks for one when its guest rings a device; the main thread calls for one when it has something
 * to say by itself. It answers when everything asked for is done and what follows from it has settled.
 *
 *   word 0  meetings asked for (vCPU writes)        word 2  a call of the main thread: CALL
 *   word 1  meetings answered (main thread writes; wait address)
 */
import type { Doorbell } from './doorbell.ts';
import type { VcpuMailbox } from './mailbox.ts';

export const MEETING_BYTES: number = 12;
const ASKED = 0;
const ANSWERED = 1;
const CALLED = 2;

const CALL = { NONE: 0, SETTLE: 1, INPUT: 2 } as const;

/** The vCPU's side. Objects on one thread share nothing but the words. */
export class MeetingAttendee {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #doorbell: Doorbell;
  readonly #bell: number;

  /** @param bell the doorbell's bit for meetings */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, doorbell: Doorbell, bell: number) {
    this.#words = new Int32Array(buffer, byteOffset, MEETING_BYTES / 4);
    this.#doorbell = doorbell;
    this.#bell = bell;
  }

  /** Rings `bits` of the doorbell; the guest must not go on before `attend`. */
  ask(bits: number): void {
    Atomics.add(this.#words, ASKED, 1);
    this.#doorbell.ring(bits | this.#bell);
  }

  get isDue(): boolean {
    return Atomics.load(this.#words, ASKED) !== Atomics.load(this.#words, ANSWERED);
  }

  /** Waits until every meeting asked for is answered. */
  attend(): void {
    const asked = Atomics.load(this.#words, ASKED);
    for (;;) {
      const answered = Atomics.load(this.#words, ANSWERED);
      if (answered === asked) return;
      Atomics.wait(this.#words, ANSWERED, answered);
    }
  }

  /** Does a call of the main thread wait to be taken? */
  get isCalled(): boolean {
    return Atomics.load(this.#words, CALLED) !== CALL.NONE;
  }

  /** Has the main thread called? 'settle' is no event: it only wants to be done before the guest goes on. */
  takeCall(): 'none' | 'settle' | 'input' {
    if (!this.isCalled) return 'none';
    return Atomics.exchange(this.#words, CALLED, CALL.NONE) === CALL.INPUT ? 'input' : 'settle';
  }
}

export interface MeetingWork {
  /** Resolves in a later turn of the event loop; with `rest`, a millisecond later. */
  turn(rest?: boolean): Promise<void>;
  /** Resolves when nothing that devices do for the guest is in flight. */
  idle(): Promise<void>;
  /** Is there something left to serve? */
  busy(): boolean;
  /** Does output wait for a reader on the host? */
  held(): boolean;
}

/** The main thread's side: who may touch the guest, and when. */
export class MeetingHost {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #mailbox: VcpuMailbox;
  readonly #work: MeetingWork;
  /** The vCPU waits or does not run. */
  #open = true;
  #settling = false;
  #hurried = false;
  #waiting: (() => void)[] = [];

  constructor(buffer: SharedArrayBuffer, byteOffset: number, mailbox: VcpuMailbox, work: MeetingWork) {
    this.#words = new Int32Array(buffer, byteOffset, MEETING_BYTES / 4);
    this.#mailbox = mailbox;
    this.#work = work;
  }

  /** Does `work`, which touches the guest, now or at the next meeting. */
  enter(work: () => void): void {
    if (this.#open) {
      work();
      return;
    }
    this.#waiting.push(work);
    this.#call(CALL.INPUT);
  }

  #call(why: number): void {
    if (Atomics.load(this.#words, CALLED) !== CALL.INPUT) Atomics.store(this.#words, CALLED, why);
    this.#mailbox.kick();
  }

  /** The vCPU is about to run: what is pending is served before its first instruction. */
  begin(): void {
    this.#hurried = false;
    this.#call(CALL.SETTLE);
  }

  /** The vCPU has left its run loop, or somebody waits for that: readers are waited for no more. */
  hurry(): void {
    this.#hurried = true;
  }

  /** The vCPU does not run. */
  stopped(): void {
    this.#open = true;
    for (const work of this.#waiting.splice(0)) work();
  }

  /** The doorbell rang for a meeting; to be called before anything else is served. */
  arrived(): void {
    this.#open = true;
    for (const work of this.#waiting.splice(0)) work();
    if (!this.#settling) void this.#settle();
  }

  async #settle(): Promise<void> {
    const work = this.#work;
    this.#settling = true;
    // Twice in a row nothing to do: what the last step resolved has had a turn to act in.
    for (let quiet = 0; quiet < 2; ) {
      const waits = work.held() && !this.#hurried;
      await work.turn(waits);
      await work.idle();
      quiet = work.busy() || (work.held() && !this.#hurried) ? 0 : quiet + 1;
    }
    this.#settling = false;
    this.#open = false;
    Atomics.store(this.#words, ANSWERED, Atomics.load(this.#words, ASKED));
    Atomics.notify(this.#words, ANSWERED);
  }
}
