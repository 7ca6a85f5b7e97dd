/**
 * Port and memory-mapped I/O as the vCPU's thread sees it. Handlers run synchronously on that thread and
 * may only touch shared memory; what needs the main thread rings a doorbell.
 * Unclaimed reads give all ones, unclaimed writes vanish (as on hardware).
 */
export interface IoHandler {
  /** @param offset from the start of the claimed range @param size 1, 2 or 4 @returns unsigned value */
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
}

/** What the vCPU's thread needs from the machine. 8-byte accesses are split into two of 4 bytes. */
export interface IoBus {
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, size: 1 | 2 | 4, value: number): void;
  readMmio(gpa: number, size: 1 | 2 | 4): number;
  writeMmio(gpa: number, size: 1 | 2 | 4, value: number): void;
  /** End of a level-triggered interrupt: the I/O APIC clears remote IRR and may send again. */
  endOfInterrupt(vector: number): void;
}
