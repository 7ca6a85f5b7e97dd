/** virtio over MMIO, version 2 (virtio 1.2, 4.2.2) and the shared words behind the registers. */

export const MAGIC: number = 0x74726976;
export const TRANSPORT_VERSION: number = 2;
/** "VIVM", little-endian. */
export const VENDOR: number = 0x4d564956;

/** Register offsets; all are 32 bits wide and aligned. */
export const Reg = {
  MAGIC: 0x000,
  VERSION: 0x004,
  DEVICE_ID: 0x008,
  VENDOR_ID: 0x00c,
  DEVICE_FEATURES: 0x010,
  DEVICE_FEATURES_SEL: 0x014,
  DRIVER_FEATURES: 0x020,
  DRIVER_FEATURES_SEL: 0x024,
  QUEUE_SEL: 0x030,
  QUEUE_SIZE_MAX: 0x034,
  QUEUE_SIZE: 0x038,
  QUEUE_READY: 0x044,
  QUEUE_NOTIFY: 0x050,
  INTERRUPT_STATUS: 0x060,
  INTERRUPT_ACK: 0x064,
  STATUS: 0x070,
  QUEUE_DESC_LOW: 0x080,
  QUEUE_DESC_HIGH: 0x084,
  QUEUE_DRIVER_LOW: 0x090,
  QUEUE_DRIVER_HIGH: 0x094,
  QUEUE_DEVICE_LOW: 0x0a0,
  QUEUE_DEVICE_HIGH: 0x0a4,
  SHM_LEN_LOW: 0x0b0,
  SHM_BASE_HIGH: 0x0bc,
  CONFIG_GENERATION: 0x0fc,
  CONFIG: 0x100,
} as const;

export const Status = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 64,
  FAILED: 128,
} as const;

export const Interrupt = { USED: 1, CONFIG: 2 } as const;

/** Feature bits that every device here offers, by 32-bit half: EVENT_IDX (29) low, VERSION_1 (32) high. */
export const F_EVENT_IDX: number = 0x20000000;
export const F_VERSION_1_HIGH: number = 1;

export const MAX_QUEUES: number = 64;
export const MAX_CONFIG_BYTES: number = 0x200;

/** Shared words of a slot. EVENTS and NOTIFIED go from the vCPU's thread to the main thread. */
export const Word = {
  LOCK: 0,
  STATUS: 1,
  DEVICE_FEATURES_SEL: 2,
  DRIVER_FEATURES_SEL: 3,
  QUEUE_SEL: 4,
  INTERRUPT_STATUS: 5,
  CONFIG_GENERATION: 6,
  DEVICE_ID: 7,
  DEVICE_FEATURES: 8,
  DRIVER_FEATURES: 10,
  QUEUE_COUNT: 12,
  NOTIFIED: 13,
  /** Counts resets by the guest: the main thread compares before it touches anything. */
  RESETS: 15,
  CONFIG_LENGTH: 16,
  QUEUES: 32,
} as const;

/** Shared words of one queue, at QUEUES + QUEUE_STRIDE × index. Addresses as low and high word. */
export const QueueWord = { SIZE_MAX: 0, SIZE: 1, READY: 2, DESC: 3, DRIVER: 5, DEVICE: 7 } as const;
export const QUEUE_STRIDE: number = 9;

/** Byte offset of the configuration space in a slot of 0x1000 bytes. */
export const CONFIG_OFFSET: number = 0xe00;
