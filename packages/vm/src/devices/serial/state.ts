/** Saved state of the UART. Output not yet taken is delivered before saving; input not yet read is kept. */
export interface SerialState {
  readonly kind: 'serial';
  readonly version: 1;
  readonly interruptEnable: number;
  readonly lineControl: number;
  readonly modemControl: number;
  readonly scratch: number;
  readonly divisor: number;
  readonly fifoEnabled: boolean;
  readonly thrEmptyPending: boolean;
  /** Bytes the guest has not read yet. */
  readonly input: readonly number[];
}
