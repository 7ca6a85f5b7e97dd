/**
 * The CMOS memory and its real-time clock. The time is always the host's wall clock (UTC): a guest may set it, and
 * keeps its own time from then on, but after the next boot reads the truth again. No alarm and no periodic interrupt.
 */
import type { Clock } from '../../base/ports.ts';
import {
  A_UPDATE_IN_PROGRESS,
  A_VALUE,
  B_24_HOURS,
  B_BINARY,
  CMOS_BYTES,
  D_VALID,
  INDEX_PORT,
  Reg,
} from './regs.ts';
import type { CmosState } from './state.ts';

const NS_PER_SECOND = 1_000_000_000n;
/** The update-in-progress flag rises this long before the second changes (datasheet: 244 µs). */
const UPDATE_NS = 244_000n;

export class Cmos {
  /** Byte 0..127 the memory, byte 128 the index. */
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #clock: Clock;

  constructor(buffer: SharedArrayBuffer, byteOffset: number, clock: Clock) {
    this.#bytes = new Uint8Array(buffer, byteOffset, CMOS_BYTES + 1);
    this.#clock = clock;
  }

  reset(): void {
    this.#bytes.fill(0);
    this.#bytes[Reg.A] = A_VALUE;
    this.#bytes[Reg.B] = B_24_HOURS;
  }

  read(port: number): number {
    const index = this.#bytes[CMOS_BYTES] as number;
    if (port === INDEX_PORT) return index;
    return this.#register(index);
  }

  write(port: number, value: number): void {
    if (port === INDEX_PORT) {
      // Bit 7 masks NMIs on a PC; nobody raises them here.
      this.#bytes[CMOS_BYTES] = value & 0x7f;
      return;
    }
    const index = this.#bytes[CMOS_BYTES] as number;
    if (index === Reg.C || index === Reg.D) return;
    this.#bytes[index] = index === Reg.A ? value & 0x7f : value;
  }

  #register(index: number): number {
    switch (index) {
      case Reg.A: {
        const intoSecond = this.#clock.realtimeNs() % NS_PER_SECOND;
        const updating = intoSecond >= NS_PER_SECOND - UPDATE_NS ? A_UPDATE_IN_PROGRESS : 0;
        return (this.#bytes[Reg.A] as number) | updating;
      }
      case Reg.C:
        return 0;
      case Reg.D:
        return D_VALID;
      default: {
        const value = timeField(index, Number(this.#clock.realtimeNs() / NS_PER_SECOND));
        if (value < 0) return this.#bytes[index] as number;
        const control = this.#bytes[Reg.B] as number;
        if (index === Reg.HOURS && (control & B_24_HOURS) === 0) {
          const hour = this.#encode(value % 12 === 0 ? 12 : value % 12);
          return value >= 12 ? hour | 0x80 : hour;
        }
        return this.#encode(value);
      }
    }
  }

  #encode(value: number): number {
    if (((this.#bytes[Reg.B] as number) & B_BINARY) !== 0) return value;
    return (Math.floor(value / 10) << 4) | (value % 10);
  }

  save(): CmosState {
    return {
      kind: 'cmos',
      version: 1,
      index: this.#bytes[CMOS_BYTES] as number,
      bytes: Array.from(this.#bytes.subarray(0, CMOS_BYTES)),
    };
  }

  load(state: CmosState): void {
    this.reset();
    this.#bytes.set(state.bytes.slice(0, CMOS_BYTES));
    this.#bytes[CMOS_BYTES] = state.index;
  }
}

/** The calendar field of a register for a UTC time in seconds since 1970, or -1 for plain memory. */
function timeField(index: number, seconds: number): number {
  const date = new Date(seconds * 1000);
  switch (index) {
    case Reg.SECONDS:
      return date.getUTCSeconds();
    case Reg.MINUTES:
      return date.getUTCMinutes();
    case Reg.HOURS:
      return date.getUTCHours();
    case Reg.WEEKDAY:
      return date.getUTCDay() + 1;
    case Reg.DAY:
      return date.getUTCDate();
    case Reg.MONTH:
      return date.getUTCMonth() + 1;
    case Reg.YEAR:
      return date.getUTCFullYear() % 100;
    case Reg.CENTURY:
      return Math.floor(date.getUTCFullYear() / 100);
    default:
      return -1;
  }
}
