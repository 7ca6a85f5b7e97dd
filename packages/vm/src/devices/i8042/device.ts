/**
 * The keyboard controller, as far as PCs need it: machine reset (the reset line, command 0xFE), a self test that
 * answers at once so that probing is quick, a keyboard that acknowledges everything (Ctrl-Alt-Del can be typed by
 * the host), no mouse; and port 0x61, whose timer output always reads high (nothing may wait for a PIT here).
 */
import { SpinLock } from '../../machine/spin-lock.ts';
import type { InterruptLines } from '../ioapic/device.ts';
import {
  Command,
  COMMAND_PORT,
  Control,
  CTRL_ALT_DEL_SET1,
  CTRL_ALT_DEL_SET2,
  DATA_PORT,
  I8042_WORDS,
  KEYBOARD_IRQ,
  QUEUE_LENGTH,
  Status,
  SYSTEM_CONTROL_PORT,
  Word,
} from './regs.ts';
import type { I8042State } from './state.ts';

const ACK = 0xfa;
/** Keyboard commands that take one argument byte: LEDs, scan code set, typematic rate. */
const WITH_ARGUMENT: ReadonlySet<number> = new Set([0xed, 0xf0, 0xf3]);

export class I8042 {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #lock: SpinLock;
  readonly #lines: InterruptLines;
  readonly #resetMachine: () => void;

  constructor(
    buffer: SharedArrayBuffer,
    byteOffset: number,
    lines: InterruptLines,
    resetMachine: () => void,
  ) {
    this.#words = new Int32Array(buffer, byteOffset, I8042_WORDS);
    this.#lock = new SpinLock(this.#words, Word.LOCK);
    this.#lines = lines;
    this.#resetMachine = resetMachine;
  }

  reset(): void {
    this.#words.fill(0);
    this.#put(Word.CONTROL, Control.KEYBOARD_IRQ | Control.SYSTEM | Control.AUX_OFF | Control.TRANSLATE);
    this.#lines.set(KEYBOARD_IRQ, false);
  }

  /** @param port DATA_PORT, SYSTEM_CONTROL_PORT or COMMAND_PORT */
  read(port: number): number {
    if (port === DATA_PORT) return this.#takeByte();
    if (port === SYSTEM_CONTROL_PORT) {
      // Bit 4, the refresh request, toggles: some delay loops count it. Bit 5 is timer 2's output.
      const value = this.#get(Word.SYSTEM_CONTROL) ^ 0x10;
      this.#put(Word.SYSTEM_CONTROL, value);
      return value | 0x20;
    }
    return (
      (this.#get(Word.COUNT) > 0 ? Status.OUTPUT_FULL : 0) |
      (this.#get(Word.LAST) !== 0 ? Status.COMMAND : 0) |
      Status.SYSTEM |
      Status.UNLOCKED
    );
  }

  write(port: number, value: number): void {
    const byte = value & 0xff;
    if (port === SYSTEM_CONTROL_PORT) {
      this.#put(Word.SYSTEM_CONTROL, (this.#get(Word.SYSTEM_CONTROL) & 0x10) | (byte & 0x0f));
      return;
    }
    let reset = false;
    this.#lock.lock();
    this.#put(Word.LAST, port === COMMAND_PORT ? 1 : 0);
    if (port === COMMAND_PORT) reset = this.#command(byte);
    else reset = this.#data(byte);
    this.#lock.unlock();
    if (reset) this.#resetMachine();
  }

  /** True when the command pulses the machine's reset line. */
  #command(byte: number): boolean {
    this.#put(Word.COMMAND, 0);
    switch (byte) {
      case Command.READ_CONTROL:
        this.#push(this.#get(Word.CONTROL));
        break;
      case Command.SELF_TEST:
        this.#put(Word.COUNT, 0);
        this.#push(0x55);
        break;
      case Command.KEYBOARD_TEST:
        this.#push(0x00);
        break;
      case Command.AUX_TEST:
        this.#push(0x01);
        break;
      case Command.KEYBOARD_OFF:
      case Command.KEYBOARD_ON:
        this.#setControl(Control.KEYBOARD_OFF, byte === Command.KEYBOARD_OFF);
        break;
      case Command.AUX_OFF:
      case Command.AUX_ON:
        this.#setControl(Control.AUX_OFF, byte === Command.AUX_OFF);
        break;
      case Command.READ_OUTPUT_PORT:
        // Reset line inactive, A20 on, keyboard interrupt as it stands.
        this.#push(0x03 | (this.#get(Word.COUNT) > 0 ? 0x10 : 0));
        break;
      case Command.WRITE_CONTROL:
      case Command.WRITE_OUTPUT_PORT:
      case Command.WRITE_KEYBOARD_OUTPUT:
      case Command.WRITE_AUX_OUTPUT:
      case Command.WRITE_AUX:
        this.#put(Word.COMMAND, byte);
        break;
      default:
        // 0xf0-0xff pulse output lines whose bit is 0; line 0 is the reset.
        return (byte & 0xf1) === 0xf0;
    }
    return false;
  }

  #data(byte: number): boolean {
    const command = this.#get(Word.COMMAND);
    this.#put(Word.COMMAND, 0);
    switch (command) {
      case Command.WRITE_CONTROL:
        this.#put(Word.CONTROL, byte & 0x7f);
        this.#updateLine();
        return false;
      case Command.WRITE_OUTPUT_PORT:
        return (byte & 1) === 0;
      case Command.WRITE_KEYBOARD_OUTPUT:
      case Command.WRITE_AUX_OUTPUT:
        // The echo of an aux write arrives as keyboard data: there is no mouse.
        this.#push(byte);
        return false;
      case Command.WRITE_AUX:
        return false;
      default:
        this.#keyboard(byte);
        return false;
    }
  }

  #keyboard(byte: number): void {
    this.#put(Word.CONTROL, this.#get(Word.CONTROL) & ~Control.KEYBOARD_OFF);
    this.#push(ACK);
    if (this.#get(Word.ARGUMENT) !== 0) {
      // Asking for the scan code set (0xf0 with 0) is answered with set 2.
      if (this.#get(Word.ARGUMENT) === 0xf0 && byte === 0) this.#push(0x02);
      this.#put(Word.ARGUMENT, 0);
      return;
    }
    if (WITH_ARGUMENT.has(byte)) this.#put(Word.ARGUMENT, byte);
    if (byte === 0xf2) {
      this.#push(0xab);
      this.#push(0x83);
    }
    if (byte === 0xff) this.#push(0xaa);
  }

  #takeByte(): number {
    this.#lock.lock();
    const count = this.#get(Word.COUNT);
    const byte = this.#get(Word.QUEUE);
    if (count > 0) {
      this.#words.copyWithin(Word.QUEUE, Word.QUEUE + 1, Word.QUEUE + count);
      this.#put(Word.COUNT, count - 1);
      // Low, then high again when another byte is there: an edge per byte.
      this.#lines.set(KEYBOARD_IRQ, false);
      this.#updateLine();
    }
    this.#lock.unlock();
    return byte & 0xff;
  }

  /** Queues a byte for the guest; a full queue drops it, as a keyboard's buffer does. */
  #push(byte: number): void {
    const count = this.#get(Word.COUNT);
    if (count >= QUEUE_LENGTH) return;
    this.#put(Word.QUEUE + count, byte);
    this.#put(Word.COUNT, count + 1);
    this.#updateLine();
  }

  #setControl(bit: number, on: boolean): void {
    const control = this.#get(Word.CONTROL);
    this.#put(Word.CONTROL, on ? control | bit : control & ~bit);
  }

  #updateLine(): void {
    const enabled = (this.#get(Word.CONTROL) & Control.KEYBOARD_IRQ) !== 0;
    this.#lines.set(KEYBOARD_IRQ, enabled && this.#get(Word.COUNT) > 0);
  }

  /** Main thread: presses Ctrl-Alt-Del. */
  pressCtrlAltDel(): void {
    this.#lock.lock();
    const translate = (this.#get(Word.CONTROL) & Control.TRANSLATE) !== 0;
    for (const code of translate ? CTRL_ALT_DEL_SET1 : CTRL_ALT_DEL_SET2) this.#push(code);
    this.#lock.unlock();
  }

  save(): I8042State {
    return {
      kind: 'i8042',
      version: 1,
      control: this.#get(Word.CONTROL),
      command: this.#get(Word.COMMAND),
      lastWriteWasCommand: this.#get(Word.LAST) !== 0,
      systemControl: this.#get(Word.SYSTEM_CONTROL),
      argument: this.#get(Word.ARGUMENT),
      queue: Array.from(this.#words.subarray(Word.QUEUE, Word.QUEUE + this.#get(Word.COUNT))),
    };
  }

  load(state: I8042State): void {
    this.reset();
    this.#put(Word.CONTROL, state.control);
    this.#put(Word.COMMAND, state.command);
    this.#put(Word.LAST, state.lastWriteWasCommand ? 1 : 0);
    this.#put(Word.SYSTEM_CONTROL, state.systemControl);
    this.#put(Word.ARGUMENT, state.argument);
    for (const byte of state.queue) this.#push(byte);
  }

  #get(word: number): number {
    return Atomics.load(this.#words, word);
  }

  #put(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
  }
}
