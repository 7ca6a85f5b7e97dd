/** How much memory a process has, beyond the guest memory that its guest has touched. Linux only. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PAGE = 4096;
/** Bits of an entry of /proc/PID/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst). */
const PRESENT = 1n << 63n;
/** Mapped by this process alone, so not the shared page of zeros that untouched memory reads from. */
const EXCLUSIVE = 1n << 56n;

/** Proportional set size. @returns bytes */
export function proportionalBytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kib = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
  if (kib === undefined) throw new Error('smaps_rollup has no Pss line');
  return Number(kib) * 1024;
}

/** What the JavaScript engine has for machine code: executable mappings without a file. */
export interface CodeMemory {
  /** Proportional set size. */
  readonly bytes: number;
  readonly mappings: number;
}

export function codeMemory(pid: number): CodeMemory {
  return parseCodeMemory(readFileSync(`/proc/${pid}/smaps`, 'utf8'));
}

/** @param smaps text of /proc/PID/smaps (proc(5)) */
export function parseCodeMemory(smaps: string): CodeMemory {
  let bytes = 0;
  let mappings = 0;
  let counts = false;
  for (const line of smaps.split('\n')) {
    const mapping = /^[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \d+\s*(.*)$/.exec(line);
    if (mapping !== null) {
      counts = mapping[1]?.[2] === 'x' && mapping[2] === '';
      if (counts) mappings++;
      continue;
    }
    const kib = counts ? /^Pss:\s+(\d+) kB$/.exec(line)?.[1] : undefined;
    if (kib !== undefined) bytes += Number(kib) * 1024;
  }
  return { bytes, mappings };
}

/**
 * @param wasmBytes the size of the machine's WebAssembly memory, by which its mapping is found
 * @param ramOffset where guest RAM begins in it
 * @returns bytes of guest RAM that have pages of their own
 */
export function touchedGuestBytes(pid: number, wasmBytes: number, ramOffset: number): number {
  const start = mappingOfSize(pid, wasmBytes);
  const pages = (wasmBytes - ramOffset) / PAGE;
  const entries = new BigUint64Array(pages);
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    readSync(pagemap, entries, 0, entries.byteLength, Number((start + BigInt(ramOffset)) / BigInt(PAGE)) * 8);
  } finally {
    closeSync(pagemap);
  }
  const wanted = PRESENT | EXCLUSIVE;
  return entries.filter((entry) => (entry & wanted) === wanted).length * PAGE;
}

function mappingOfSize(pid: number, bytes: number): bigint {
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const match = /^([0-9a-f]+)-([0-9a-f]+) rw-p/.exec(line);
    if (match === null) continue;
    const start = BigInt(`0x${match[1]}`);
    if (BigInt(`0x${match[2]}`) - start === BigInt(bytes)) return start;
  }
  throw new Error(`process ${pid} has no mapping of ${bytes} bytes`);
}
