/**
 * The generated interpreter against the reference evaluator: one instruction at a time, every form, registers,
 * lazy flags, fault state and memory. A difference is a bug of the emitter, of the evaluator or of the host's
 * WebAssembly compiler.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE_BASE, CONST_BASE, DATA_BASE, STACK_BASE } from '../../../../../test/oracle/case.ts';
import { generate, shapeName, shapesOf } from '../../../../../test/oracle/generate.ts';
import { InterpreterRunner } from '../../../../../test/oracle/interpreter.ts';
import { Random } from '../../../../../test/oracle/random.ts';
import { OverlayMemory, viewMemory } from '../../x86/eval.ts';
import { ROWS } from '../../x86/isa/index.ts';
import * as S from '../../x86/state.ts';
import { SYSTEM_NAMES } from '../../x86/system-names.ts';
import { ACCESS, STATUS } from '../unit.ts';
import { runRecords } from './reference.ts';

/** Cases per shape; each runs the generated and the evaluated instruction. */
const CASES = Number(process.env['VIV_TEST_REFERENCE'] ?? 2);
/** State that the run loop keeps by itself, and scratch whose content means nothing later. */
const NOT_COMPARED: readonly (readonly [number, number])[] = [
  [S.BLOCK_RIP, 8],
  [S.BUDGET, 4],
  [S.RECORD, 4],
  [S.FETCH_HOST, 4],
  [S.KERNEL_CODE_MOVES, 4],
  // accesses as calls fill the TLB once more than inline ones
  [S.JOURNAL_COUNT, 4],
];

const runner = new InterpreterRunner();
const { vcpu, view } = runner;
const windows = [CODE_BASE, CODE_BASE + 0x1000, DATA_BASE, DATA_BASE + 0x1000, CONST_BASE, STACK_BASE];

function byteRanges(): [number, number][] {
  const ranges: [number, number][] = [[vcpu.area + S.GPR, S.REGISTERS_END - S.GPR]];
  for (const page of windows) {
    const host = vcpu.translate(BigInt(page), ACCESS.READ | ACCESS.USER);
    assert.ok(host > 1);
    ranges.push([host, 4096]);
  }
  return ranges;
}

/** Runs the instruction at RIP both ways. @returns what differs */
function compare(test: Parameters<InterpreterRunner['run']>[0], kernel: boolean): string[] {
  const found: string[] = [];
  let ranges: [number, number][] = [];
  let before: Uint8Array[] = [];
  let overlay = new OverlayMemory(viewMemory(view));
  let evaluated = { record: 0, status: 0 };
  let cold = '';
  const outcome = runner.run(test, {
    before: () => {
      if (kernel) view.setInt32(vcpu.area + S.CPL, 0, true);
      vcpu.setSingle(true);
      vcpu.modeChanged();
      vcpu.budget = 1;
      ranges = byteRanges();
      const host = vcpu.translate(vcpu.rip, ACCESS.FETCH | (kernel ? 0 : ACCESS.USER));
      assert.ok(vcpu.code.decodeBlock(host, () => vcpu.rip, 4096));
      const block = vcpu.code.recordsAt(host);
      assert.ok(block !== null);
      view.setBigInt64(vcpu.area + S.BLOCK_RIP, vcpu.rip, true);
      before = ranges.map(([at, bytes]) => new Uint8Array(view.buffer, at, bytes).slice());
      overlay = new OverlayMemory(viewMemory(view));
      evaluated = runRecords(
        {
          memory: overlay,
          area: vcpu.area,
          imports: {
            mmio_read: () => 0xffffffffn,
            mmio_write: () => 0n,
            code_written: () => 0n,
            forget_blocks: () => 0n,
            clock_ns: () => 0n,
            watch: () => 0n,
            system: (operation = 0n) => {
              cold = SYSTEM_NAMES[Number(operation)] ?? '';
              return BigInt(STATUS.EXIT);
            },
          },
        },
        block.first,
      );
    },
    after: (result) => {
      const boundary = evaluated.status === STATUS.JUMP;
      if ((result === 'boundary') !== boundary) found.push(`ends as ${result}, status ${evaluated.status}`);
      ranges.forEach(([at, bytes], i) => {
        const now = new Uint8Array(view.buffer, at, bytes);
        for (let k = 0; k < bytes; k++) {
          const want = overlay.written.get(at + k) ?? before[i]?.[k];
          if (now[k] === want || skipped(at + k - vcpu.area, boundary)) continue;
          found.push(
            `${at < vcpu.area + S.REGISTERS_END ? 'state' : 'memory'} ${(at + k - vcpu.area).toString(16)}: evaluated ${want}, generated ${now[k]}`,
          );
          if (found.length > 8) return;
        }
      });
    },
  });
  if (outcome.cold !== undefined && outcome.cold !== cold)
    found.push(`cold ${outcome.cold}, evaluated ${cold}`);
  return found;
}

function skipped(offset: number, boundary: boolean): boolean {
  if (NOT_COMPARED.some(([from, bytes]) => offset >= from && offset < from + bytes)) return true;
  // the JavaScript half of the run loop sets RIP after an exit, and turns #GP into #SS
  if (boundary) return false;
  return (offset >= S.RIP && offset < S.RIP + 8) || offset === S.FAULT || offset === S.FAULT_NON_CANONICAL;
}

test('evaluated and generated instructions do the same', () => {
  const random = new Random(2026);
  const differences: string[] = [];
  let cases = 0;
  for (const shape of ROWS.flatMap(shapesOf)) {
    for (let k = 0; k < CASES; k++) {
      const g = generate(shape, random);
      const kernel = random.chance(35);
      cases++;
      const found = compare(g.test, kernel);
      if (found.length === 0) continue;
      differences.push(
        `${shapeName(shape)} ${Buffer.from(g.test.code).toString('hex')}\n    ${found.join('\n    ')}`,
      );
      break;
    }
  }
  assert.equal(differences.length, 0, differences.slice(0, 40).join('\n'));
  assert.ok(cases > 3000 * CASES, `only ${cases} cases`);
});
