/** Saved state of the keyboard controller. */
export interface I8042State {
  readonly kind: 'i8042';
  readonly version: 1;
  readonly control: number;
  /** Controller command that waits for its data byte, 0 for none. */
  readonly command: number;
  readonly lastWriteWasCommand: boolean;
  readonly systemControl: number;
  /** Keyboard command that waits for its argument, 0 for none. */
  readonly argument: number;
  /** Bytes the guest has not read yet. */
  readonly queue: readonly number[];
}
