/**
 * A recorded run of a guest: which blocks the interpreter executed, in order. A folder has `blocks.json`, one line of
 * JSON for each block, and files of block numbers (u32, host's byte order), one for each recording.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** How a block ends. fall: at a page's end or after 64 instructions; other: system instructions. */
export const ENDS = [
  'branch',
  'jump',
  'call',
  'indirect call',
  'indirect jump',
  'return',
  'fall',
  'other',
] as const;
export type BlockEnd = (typeof ENDS)[number];

export interface TracedBlock {
  readonly id: number;
  /** Host address of its first byte. */
  readonly host: number;
  readonly mode: number;
  /** Where it was first met, hexadecimal. */
  readonly rip: string;
  readonly bytes: number;
  readonly instructions: number;
  readonly accesses: number;
  readonly end: BlockEnd;
  /** Linear address that its last instruction names, minus its own. */
  readonly target: number;
  /** Instructions that no translator of ours would take. */
  readonly left: number;
}

export const blocksFile = (folder: string): string => join(folder, 'blocks.json');
export const traceFile = (folder: string, recording: number): string => join(folder, `${recording}.u32`);

export function readBlocks(folder: string): TracedBlock[] {
  return readFileSync(blocksFile(folder), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TracedBlock);
}

/** The block numbers of a recording in pieces; a piece is valid until the next. */
export function* readTrace(folder: string, recording: number): Generator<Uint32Array> {
  const file = openSync(traceFile(folder, recording), 'r');
  const buffer = new Uint8Array(1 << 24);
  try {
    for (;;) {
      const count = readSync(file, buffer);
      if (count === 0) return;
      yield new Uint32Array(buffer.buffer, 0, count >> 2);
    }
  } finally {
    closeSync(file);
  }
}
