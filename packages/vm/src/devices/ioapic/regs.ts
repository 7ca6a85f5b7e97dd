/** 82093AA I/O APIC: registers behind the index/window pair (datasheet 3.1-3.2), and their shared words. */
export const IOAPIC_BASE: number = 0xfec00000;
export const IOAPIC_PINS: number = 24;
export const IOAPIC_ID: number = 0;
/** 24 redirection entries, version 0x11 (no EOI register: the local APIC's EOI reaches us). */
export const IOAPIC_VERSION_VALUE: number = ((IOAPIC_PINS - 1) << 16) | 0x11;

/** Offsets in the memory window. */
export const IOREGSEL: number = 0x00;
export const IOWIN: number = 0x10;

/** Indirect registers. */
export const IOAPICID: number = 0x00;
export const IOAPICVER: number = 0x01;
export const IOAPICARB: number = 0x02;
export const IOREDTBL: number = 0x10;

/** Bits of a redirection entry's low word. */
export const Redirection = {
  VECTOR: 0xff,
  DELIVERY_MODE_SHIFT: 8,
  DESTINATION_LOGICAL: 0x800,
  DELIVERY_STATUS: 0x1000,
  REMOTE_IRR: 0x4000,
  LEVEL: 0x8000,
  MASKED: 0x10000,
  /** What software may write: not the delivery status, not remote IRR. */
  WRITABLE: 0x1afff,
} as const;

export const DeliveryMode = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, EXTINT: 7 } as const;

/** Shared words: lock, register select, asserted lines (one bit per pin), APIC id, then low/high per pin. */
export const Word = { LOCK: 0, SELECT: 1, LINES: 2, ID: 3, TABLE: 8 } as const;
export const IOAPIC_WORDS: number = 8 + 2 * IOAPIC_PINS;
