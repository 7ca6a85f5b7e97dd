/**
 * One request of a driver: the buffers of a descriptor chain, already checked, as ranges of the shared memory.
 * First those the device may read, then those it may write. Positions are bytes from the start of either part.
 */
import type { Hva } from '../../base/brand.ts';
import type { GuestMemory } from '../../machine/memory.ts';

export interface Segment {
  readonly offset: Hva;
  readonly length: number;
}

export class Chain {
  readonly head: number;
  readonly readable: readonly Segment[];
  readonly writable: readonly Segment[];
  readonly readableBytes: number;
  readonly writableBytes: number;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, head: number, readable: readonly Segment[], writable: readonly Segment[]) {
    this.#memory = memory;
    this.head = head;
    this.readable = readable;
    this.writable = writable;
    this.readableBytes = totalBytes(readable);
    this.writableBytes = totalBytes(writable);
  }

  /** Copies at most `length` readable bytes from `position` on into memory of our own. */
  read(position: number, length: number): Uint8Array {
    const target = new Uint8Array(Math.max(0, Math.min(length, this.readableBytes - position)));
    const bytes = this.#memory.bytes;
    eachPiece(this.readable, position, target.length, (offset, at, count) => {
      target.set(bytes.subarray(offset, offset + count), at);
    });
    return target;
  }

  /** Copies `source` into the writable part at `position`; what does not fit is left out. Returns bytes written. */
  write(position: number, source: Uint8Array): number {
    const length = Math.max(0, Math.min(source.length, this.writableBytes - position));
    const memory = this.#memory;
    eachPiece(this.writable, position, length, (offset, at, count) => {
      memory.bytes.set(source.subarray(at, at + count), offset);
      memory.touch(offset, count);
    });
    return length;
  }
}

function totalBytes(segments: readonly Segment[]): number {
  let total = 0;
  for (const segment of segments) total += segment.length;
  return total;
}

/** Calls `visit(offset, at, count)` for the pieces of `length` bytes that start at `position`. */
function eachPiece(
  segments: readonly Segment[],
  position: number,
  length: number,
  visit: (offset: Hva, at: number, count: number) => void,
): void {
  let skip = position;
  let at = 0;
  for (const segment of segments) {
    if (at >= length) return;
    if (skip >= segment.length) {
      skip -= segment.length;
      continue;
    }
    const count = Math.min(segment.length - skip, length - at);
    visit(segment.offset + skip, at, count);
    at += count;
    skip = 0;
  }
}
