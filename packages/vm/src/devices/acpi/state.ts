/** Saved state of the ACPI registers. */
export interface AcpiState {
  readonly kind: 'acpi';
  readonly version: 1;
  /** Events that the guest has not read yet. */
  readonly events: number;
}
