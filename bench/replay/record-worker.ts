/**
 * The file that a vCPU's thread runs while it is recorded: vcpu-worker.ts on an interpreter that tells each block
 * (generateInterpreter, `traced`).
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { VCPU_BASE, VCPU_STRIDE } from '../../packages/vm/src/machine/layout.ts';
import { Decoder } from '../../packages/vm/src/x86/decode.ts';
import { ROW_BIT, type Row } from '../../packages/vm/src/x86/row.ts';
import * as S from '../../packages/vm/src/x86/state.ts';
import { type BlockEnd, blocksFile, traceFile, type TracedBlock } from './trace.ts';

export interface RecorderData {
  readonly folder: string;
  /** Number of the recording that goes on, 0 = none. */
  readonly recording: Int32Array;
}

const CHUNK = 1 << 20;
/** Of the header before a block's records: i32 host, bytes, second host, bytes there, records, mode. */
const HEADER = 10;

const { memory, folder, recording } = workerData as { readonly memory: WebAssembly.Memory } & RecorderData;
const u8 = new Uint8Array(memory.buffer);
const i32 = new Int32Array(memory.buffer);
const i64 = new BigInt64Array(memory.buffer);
const decoder = new Decoder();
/** By place among the records: number of the block that begins there, and its host address. */
const numbers = new Int32Array(VCPU_STRIDE / S.REC.SIZE);
const hosts = new Int32Array(VCPU_STRIDE / S.REC.SIZE);
const known = new Map<string, number>();
const blocks = openSync(blocksFile(folder), 'w');
const chunk = new Uint32Array(CHUNK);
let used = 0;
let current = 0;
let file = 0;

function flush(): void {
  if (file !== 0) writeSync(file, chunk, 0, used * 4);
  used = 0;
}

function select(next: number): void {
  flush();
  if (file !== 0) closeSync(file);
  file = next === 0 ? 0 : openSync(traceFile(folder, next), 'w');
  current = next;
}

function endOf(row: Row | null): BlockEnd {
  const name = row?.mnemonic ?? '';
  if (row === null || (row.bits & ROW_BIT.END) === 0) return 'fall';
  const near = row.operands[0]?.kind === 'J';
  if (name === 'CALL') return near ? 'call' : 'indirect call';
  if (name === 'JMP') return near ? 'jump' : 'indirect jump';
  if (name === 'RET') return 'return';
  return near ? 'branch' : 'other';
}

/** What it is that stands at `header`: the same place may hold another block later. */
function contentOf(header: number): string {
  const [host = 0, bytes = 0, second = 0, more = 0, , mode = 0] = i32.subarray(header, header + 6);
  const part = (at: number, count: number): string =>
    Buffer.from(u8.slice(at >>> 0, (at >>> 0) + count)).toString('latin1');
  return `${host >>> 0} ${mode} ${part(host, bytes)}${part(second, more)}`;
}

function describe(id: number, header: number, content: string): TracedBlock {
  const [host = 0, , , , , mode = 0] = i32.subarray(header, header + 6);
  const code = Buffer.from(content.slice(content.indexOf(' ', content.indexOf(' ') + 1) + 1), 'latin1');
  const padded = Buffer.concat([code, Buffer.alloc(16)]);
  let instructions = 0;
  let accesses = 0;
  let left = 0;
  let row: Row | null = null;
  for (let at = 0; at < code.length; at += decoder.out.length) {
    decoder.decode(padded, at, padded.length, (mode & 3) as 0 | 1 | 2);
    row = decoder.out.row;
    instructions++;
    if (row === null || row.attributes.has('cold') || endOf(row) === 'other') left++;
    if (row === null) break;
    const touches = decoder.out.memory && (row.bits & (ROW_BIT.LEA | ROW_BIT.NOMEM)) === 0;
    if (touches || (row.bits & ROW_BIT.STACK) !== 0) accesses++;
  }
  return {
    id,
    host: host >>> 0,
    mode,
    rip: BigInt.asUintN(64, i64[(VCPU_BASE + S.RIP) >> 3] as bigint).toString(16),
    bytes: code.length,
    instructions,
    accesses,
    end: endOf(row),
    target: code.length + decoder.out.immLow,
    left,
  };
}

function trace(_cpu: number, record: number): void {
  const wanted = recording[0] as number;
  if (wanted !== current) select(wanted);
  if (current === 0) return;
  const header = (record >> 2) - HEADER;
  const host = i32[header] as number;
  const place = ((record - VCPU_BASE) / S.REC.SIZE) | 0;
  let id = hosts[place] === host ? (numbers[place] as number) : 0;
  if (id === 0) {
    const content = contentOf(header);
    id = known.get(content) ?? 0;
    if (id === 0) {
      id = known.size + 1;
      known.set(content, id);
      writeSync(blocks, `${JSON.stringify(describe(id, header, content))}\n`);
    }
    numbers[place] = id;
    hosts[place] = host;
  }
  chunk[used++] = id;
  if (used === CHUNK) flush();
}

const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
    super(module, { ...imports, env: { ...imports?.['env'], trace } });
  }
};
await import('../../packages/vm/src/host/node/vcpu-worker.ts');
