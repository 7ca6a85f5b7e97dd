/**
 * The interpreter alone, on loops of a few instructions: what its choices cost (docs/adr/0025 and following). No
 * guest is booted; a ratio is a variant's time over that of the interpreter as it is built.
 */
import { generateInterpreter } from '../packages/vm/src/engine/interp/generate.ts';
import { FORMS } from '../packages/vm/src/engine/interp/handlers.ts';
import { isHot } from '../packages/vm/src/engine/interp/hot.ts';
import { wasm, type WasmModule } from '../packages/vm/src/wasm/api.ts';
import { ROWS } from '../packages/vm/src/x86/isa/index.ts';
import type { Form } from '../packages/vm/src/x86/ops.ts';
import type { Semantics } from '../packages/vm/src/x86/row.ts';
import * as S from '../packages/vm/src/x86/state.ts';
import { CODE_BASE, DATA_BASE, STACK_BASE, STACK_TOP } from '../test/oracle/case.ts';
import { InterpreterRunner } from '../test/oracle/interpreter.ts';
import { type BenchItem, median } from './result.ts';

const SUITE = 'interpreter';
const PAGES = { min: 1, max: 65536 };
/** Instructions between two looks at the clock, as engine/vcpu.ts does it. */
const BUDGET = 120_000;
const RUN_MS = 400;

/** Loops without end. RSI = DATA, RDI = DATA + 0x1000, RBX = STACK page, R12 = CODE. */
const LOOPS = {
  /** add rax,rcx; lea rdx,[rax+rcx*2+1]; xor rcx,rdx; sub r8,rax; shl rdx,3; cmp rdx,r8; jz +0; jmp loop */
  arithmetic: '4801c8 488d544801 4831d1 4929c0 48c1e203 4c39c2 7400 ebe8',
  /** mov rax,[rsi+rcx*8]; add [rdi+8],rax; mov [rsi+16],rax; movzx ecx, byte [rdi]; and ecx,0xff; jmp loop */
  memory: '488b04ce 48014708 48894610 0fb60f 81e1ff000000 ebe9',
  /** push rax; call +2; jmp loop… : call f; pop rax; jmp loop; f: ret */
  calls: '50 e803000000 58 ebf7 c3',
  /** bsf rdx,rax; adc rax,rdx; bts rcx,5; shld rax,rdx,5; xchg rax,rcx; jmp loop: functions of their own */
  functions: '480fbcd0 4811d0 480fbae905 480fa4d005 4887c8 ebea',
  /** mov rax,[rsi]; mov rcx,[rbx]: both pages have the same place in the TLB, so each access walks */
  'TLB misses': '488b06 488b0b ebf8',
  /** inc qword [r12+0x800]: data beside code */
  'data beside code': '49ff842400080000 ebf6',
  /** inc byte [r12+8] (the immediate of the next instruction); mov al, imm; jmp loop */
  'code rewritten': '41fe442408 9090 b000 ebf5',
} as const;
type Loop = keyof typeof LOOPS;

/** CPU time of this thread, so that a busy host changes little. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Millions of guest instructions a second. */
function speed(runner: InterpreterRunner, loop: Loop): number {
  const { vcpu } = runner;
  const gpr = BigUint64Array.from({ length: 16 }, (_, i) => BigInt(i));
  gpr[3] = BigInt(STACK_BASE);
  gpr[4] = BigInt(STACK_TOP);
  gpr[6] = BigInt(DATA_BASE);
  gpr[7] = BigInt(DATA_BASE + 0x1000);
  gpr[12] = BigInt(CODE_BASE);
  const code = Uint8Array.from(Buffer.from(LOOPS[loop].replaceAll(' ', ''), 'hex'));
  let rate = 0;
  runner.run(
    { mode: 64, code, gpr, rflags: 2 },
    {
      before: () => {
        const run = (ms: number): number => {
          const began = cpuMs();
          let instructions = 0;
          while (cpuMs() - began < ms) {
            vcpu.budget = BUDGET;
            if (vcpu.run() !== 'boundary') throw new Error(`the loop "${loop}" ended`);
            instructions += BUDGET - vcpu.budget;
          }
          return instructions / (cpuMs() - began) / 1000;
        };
        run(RUN_MS); // V8's optimised code takes over
        rate = run(RUN_MS);
        vcpu.budget = 1;
      },
      after: () => {},
    },
  );
  return rate;
}

function compile(inline: (form: Form) => boolean = isHot): WasmModule {
  return new wasm.Module(generateInterpreter(PAGES, inline));
}

/** The interpreter with flags computed at once by every instruction that writes them. */
function withEagerFlags(): WasmModule {
  const kept = new Map(ROWS.map((row) => [row, row.semantics]));
  for (const row of ROWS) {
    if (!/[oszapc]/.test(row.flags.written)) continue;
    const right = row.semantics;
    (row as { semantics: Semantics }).semantics = (o) => {
      right(o);
      o.setState64(S.SCRATCH, o.arithmeticFlags());
    };
  }
  try {
    return compile();
  } finally {
    for (const [row, semantics] of kept) (row as { semantics: Semantics }).semantics = semantics;
  }
}

function item(
  name: string,
  value: number,
  unit: string,
  against: string | null = null,
  ratio: number | null = null,
): BenchItem {
  return { name, suite: SUITE, value, unit, against, ratio };
}

export function measureInterpreter(runs: number): BenchItem[] {
  const began = cpuMs();
  const bytes = generateInterpreter(PAGES);
  const generated = cpuMs();
  const module = new wasm.Module(bytes);
  const compiled = cpuMs();
  const items = [
    item('forms', FORMS.length, 'handlers'),
    item('forms in the run loop', FORMS.filter(isHot).length, 'handlers'),
    item('module', bytes.length / 1024, 'KiB'),
    item('generate the module', generated - began, 'ms'),
    item('compile the module', compiled - generated, 'ms'),
  ];
  const variants: readonly (readonly [string, InterpreterRunner])[] = [
    ['as built', new InterpreterRunner(module)],
    ['all functions', new InterpreterRunner(compile(() => false))],
    ['eager flags', new InterpreterRunner(withEagerFlags())],
  ];
  for (const loop of Object.keys(LOOPS) as Loop[]) {
    const rates = new Map<string, number[]>();
    const compared = /^(arithmetic|memory|calls)$/.test(loop) ? variants : variants.slice(0, 1);
    for (let run = 0; run < runs; run++) {
      for (const [name, runner] of compared)
        rates.set(name, [...(rates.get(name) ?? []), speed(runner, loop)]);
    }
    const base = median(rates.get('as built') ?? []);
    items.push(item(loop, base, 'M instructions/s'));
    for (const [name] of compared.slice(1)) {
      const other = median(rates.get(name) ?? []);
      items.push(item(`${loop}, ${name}`, other, 'M instructions/s', 'as built', base / other));
    }
  }
  items.push(...measureFlushes(variants[0]?.[1] as InterpreterRunner));
  return items;
}

/** TLB flushes by the journal and whole, with a handful of entries. */
function measureFlushes({ vcpu, view }: InterpreterRunner): BenchItem[] {
  const time = (prepare: () => void): number => {
    const began = cpuMs();
    const count = 2000;
    for (let i = 0; i < count; i++) {
      prepare();
      vcpu.flush(true);
    }
    return ((cpuMs() - began) * 1000) / count;
  };
  const entries = (n: number) => () => {
    view.setInt32(vcpu.area + S.JOURNAL_COUNT, n, true);
    for (let i = 0; i < n; i++)
      view.setInt32(vcpu.area + S.JOURNAL + i * 4, vcpu.area + S.TLB + i * S.TLB_ENTRY, true);
  };
  const journal = time(entries(50));
  const whole = time(() => view.setInt32(vcpu.area + S.JOURNAL_COUNT, S.JOURNAL_ENTRIES + 1, true));
  return [
    item('TLB flush, 50 entries in the journal', journal, 'µs'),
    item('TLB flush, all tables', whole, 'µs', '50 entries in the journal', journal / whole),
  ];
}
