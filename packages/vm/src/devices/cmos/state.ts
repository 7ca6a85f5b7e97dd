/** Saved state of the CMOS. The time is the host's and not part of it. */
export interface CmosState {
  readonly kind: 'cmos';
  readonly version: 1;
  readonly index: number;
  readonly bytes: readonly number[];
}
