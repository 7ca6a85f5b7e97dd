/** MC146818 real-time clock behind the CMOS index and data ports (datasheet: register map, A to D). */
export const INDEX_PORT: number = 0x70;
export const DATA_PORT: number = 0x71;
export const RTC_IRQ: number = 8;
export const CMOS_BYTES: number = 128;

export const Reg = {
  SECONDS: 0x00,
  MINUTES: 0x02,
  HOURS: 0x04,
  WEEKDAY: 0x06,
  DAY: 0x07,
  MONTH: 0x08,
  YEAR: 0x09,
  A: 0x0a,
  B: 0x0b,
  C: 0x0c,
  D: 0x0d,
  CENTURY: 0x32,
} as const;

export const A_UPDATE_IN_PROGRESS = 0x80;
/** Time base 32768 Hz, rate 1024 Hz: what firmware leaves behind. */
export const A_VALUE = 0x26;
export const B_24_HOURS = 0x02;
export const B_BINARY = 0x04;
export const D_VALID = 0x80;
