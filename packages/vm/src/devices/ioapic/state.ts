/** Saved state of the I/O APIC. */
export interface IoApicState {
  readonly kind: 'ioapic';
  readonly version: 1;
  readonly select: number;
  readonly id: number;
  /** Lines that devices assert, one bit per pin. */
  readonly lines: number;
  /** Redirection entries as [low, high] unsigned words, in pin order. */
  readonly redirections: readonly (readonly [number, number])[];
}
