/** 16550A UART (National PC16550D datasheet, section 8) and the shared words behind it. */
export const COM1_PORT: number = 0x3f8;
export const COM1_PORTS: number = 8;
export const COM1_IRQ: number = 4;

/** Register offsets. */
export const Reg = { DATA: 0, IER: 1, IIR_FCR: 2, LCR: 3, MCR: 4, LSR: 5, MSR: 6, SCR: 7 } as const;

export const Ier = { RECEIVED: 1, THR_EMPTY: 2, LINE_STATUS: 4, MODEM_STATUS: 8 } as const;
export const Iir = { NONE: 0x01, THR_EMPTY: 0x02, RECEIVED: 0x04, FIFO_ENABLED: 0xc0 } as const;
export const Fcr = { ENABLE: 1, CLEAR_RX: 2, CLEAR_TX: 4 } as const;
export const LCR_DLAB = 0x80;
export const Mcr = { DTR: 1, RTS: 2, OUT1: 4, OUT2: 8, LOOP: 0x10 } as const;
export const Lsr = { DATA_READY: 0x01, THR_EMPTY: 0x20, IDLE: 0x40 } as const;
export const Msr = { CTS: 0x10, DSR: 0x20, RI: 0x40, DCD: 0x80 } as const;

/** Shared words. Heads and tails are free-running; INPUT is main → guest, OUTPUT guest → main. */
export const Word = {
  LOCK: 0,
  IER: 1,
  LCR: 2,
  MCR: 3,
  SCR: 4,
  DIVISOR: 5,
  FIFO: 6,
  /** The THR-empty interrupt is pending. */
  THR_PENDING: 7,
  INPUT_HEAD: 8,
  INPUT_TAIL: 9,
  OUTPUT_HEAD: 10,
  OUTPUT_TAIL: 11,
  /** The output ring was full: THR stays busy until the main thread has taken the ring. */
  STALLED: 12,
  /** The main thread has more input and wants to hear when the input ring is empty. */
  HUNGRY: 13,
  /** Bytes the guest wrote although THR was busy. */
  OVERWRITTEN: 14,
} as const;

/** Byte sizes of the shared parts: words, input ring, output ring (ring sizes are powers of two). */
export const WORDS_BYTES: number = 0x100;
export const INPUT_BYTES: number = 0x1000;
export const OUTPUT_BYTES: number = 0x10000;
