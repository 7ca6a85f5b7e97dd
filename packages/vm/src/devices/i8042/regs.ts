/** i8042 keyboard controller (IBM PS/2 Technical Reference, keyboard controller) and its shared words. */
export const DATA_PORT: number = 0x60;
export const SYSTEM_CONTROL_PORT: number = 0x61;
export const COMMAND_PORT: number = 0x64;
export const KEYBOARD_IRQ: number = 1;

export const Status = { OUTPUT_FULL: 1, SYSTEM: 4, COMMAND: 8, UNLOCKED: 0x10 } as const;
export const Control = {
  KEYBOARD_IRQ: 1,
  SYSTEM: 4,
  KEYBOARD_OFF: 0x10,
  AUX_OFF: 0x20,
  TRANSLATE: 0x40,
} as const;

/** Controller commands (port 0x64). */
export const Command = {
  READ_CONTROL: 0x20,
  WRITE_CONTROL: 0x60,
  AUX_OFF: 0xa7,
  AUX_ON: 0xa8,
  AUX_TEST: 0xa9,
  SELF_TEST: 0xaa,
  KEYBOARD_TEST: 0xab,
  KEYBOARD_OFF: 0xad,
  KEYBOARD_ON: 0xae,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_KEYBOARD_OUTPUT: 0xd2,
  WRITE_AUX_OUTPUT: 0xd3,
  WRITE_AUX: 0xd4,
} as const;

export const QUEUE_LENGTH = 16;
export const Word = {
  LOCK: 0,
  CONTROL: 1,
  COMMAND: 2,
  LAST: 3,
  SYSTEM_CONTROL: 4,
  COUNT: 5,
  ARGUMENT: 6,
  QUEUE: 8,
} as const;
export const I8042_WORDS: number = 8 + QUEUE_LENGTH;

/** Ctrl, Alt, Delete pressed: scan code set 1 (translated) and set 2 (raw). */
export const CTRL_ALT_DEL_SET1: readonly number[] = [0x1d, 0x38, 0xe0, 0x53];
export const CTRL_ALT_DEL_SET2: readonly number[] = [0x14, 0x11, 0xe0, 0x71];
