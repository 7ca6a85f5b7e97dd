/**
 * The escape of an attached terminal: Ctrl-] then q ends the machine, Ctrl-] twice sends one Ctrl-].
 * Anything else after Ctrl-] goes to the guest together with it.
 */
const CTRL_RIGHT_BRACKET = 0x1d;
const Q = 0x71;

export const ESCAPE_HELP = 'Ctrl-] then q ends the machine';

export interface EscapeResult {
  /** What the guest gets. */
  readonly bytes: Uint8Array;
  /** The user asked to end the machine; later bytes are dropped. */
  readonly quit: boolean;
}

export class EscapeFilter {
  #pending = false;

  push(input: Uint8Array): EscapeResult {
    const out: number[] = [];
    for (const byte of input) {
      if (this.#pending) {
        this.#pending = false;
        if (byte === Q) return { bytes: Uint8Array.from(out), quit: true };
        out.push(CTRL_RIGHT_BRACKET);
        if (byte !== CTRL_RIGHT_BRACKET) out.push(byte);
      } else if (byte === CTRL_RIGHT_BRACKET) {
        this.#pending = true;
      } else {
        out.push(byte);
      }
    }
    return { bytes: Uint8Array.from(out), quit: false };
  }
}
