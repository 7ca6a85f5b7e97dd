/**
 * Writes docs/coverage.md: every row of the instruction table and the tests that cover it.
 * `node tools/run.mjs tools/coverage.ts`; a test wants the committed page to be what this makes.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { palette } from '../fuzz/make.ts';
import { ROWS } from '../packages/vm/src/x86/isa/index.ts';
import { type Row, rowSizes } from '../packages/vm/src/x86/row.ts';
import { comparable, shapesOf } from '../test/oracle/generate.ts';

const root: string = join(import.meta.dirname, '..');
export const PAGE: string = join(root, 'docs/coverage.md');

/** Bare-metal tests (test/bare-metal/*.c) of what user programs cannot try, by mnemonic. */
const BARE_METAL: readonly (readonly [RegExp, string])[] = [
  [/^(INT|INT3|INT1)$/, 'trap_software trap_software_from_user'],
  [/^(INTO|BOUND)$/, 'trap_overflow_bound'],
  [/^IRET$/, 'iret_same_privilege iret_to_user iret_faults iret_nested_task iret_32_bit_operands'],
  [/^SYSCALL$/, 'syscall_64 syscall_compat'],
  [/^SYSRET$/, 'sysret'],
  [/^(SYSENTER|SYSEXIT)$/, 'sysenter'],
  [/^(RETF|JMP far|CALL far)$/, 'far_transfers far_to_compatibility_mode call_gate far_faults'],
  [/^(LES|LDS|LSS|LFS|LGS)$/, 'segment_load_faults'],
  [/^(LAR|LSL|VERR|VERW)$/, 'segment_rights_queries'],
  [/^(LLDT|SLDT)$/, 'segment_ldt'],
  [/^(LTR|STR)$/, 'segment_task_register'],
  [/^(LGDT|LIDT|SGDT|SIDT)$/, 'segment_table_registers'],
  [/^(SWAPGS|[RW][RD][FG]SBASE)$/, 'swapgs_and_bases'],
  [/^(LMSW|SMSW|CLTS)$/, 'control_register_faults trap_device_not_available'],
  [/^INVLPG$/, 'paging_flushes'],
  [/^(CLAC|STAC)$/, 'paging_smap'],
  [/^(STI|CLI)$/, 'sti_shadow trap_iopl'],
  [/^HLT$/, 'timer_periodic_wakes_hlt hlt_ends_with_nmi'],
  [/^CPUID$/, 'cpuid_basics cpuid_v2'],
  [/^(RDTSC|RDTSCP)$/, 'time_stamp'],
  [/^(RDMSR|WRMSR)$/, 'msr_unknown msr_linux_reads x2apic_faults'],
  [/^(RDRAND|RDSEED)$/, 'random_numbers'],
  [/^(FXSAVE|FXRSTOR)(64)?$/, 'fxsave_round_trip'],
  [/^(IN|OUT)$/, 'trap_io_bitmap trap_iopl'],
  [/^(INS|OUTS)B?$/, 'string_io_permission trap_io_bitmap'],
  [/^(PUSHF|POPF)$/, 'interrupt_shadow_of_flags_at_user trap_gate_flags'],
];

function bareMetalNames(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const file of globSync('test/bare-metal/*.c', { cwd: root })) {
    for (const [, name = ''] of readFileSync(join(root, file), 'utf8').matchAll(/^(?:APIC_)?TEST\((\w+)\)/gm))
      names.add(name);
  }
  return names;
}

function bareMetalOf(row: Row, known: ReadonlySet<string>): string[] {
  const far = row.operands.some((o) => o.kind === 'A' || (o.kind === 'M' && o.size === 'p'));
  const name = far && /^(JMP|CALL)$/.test(row.mnemonic) ? `${row.mnemonic} far` : row.mnemonic;
  const names = BARE_METAL.find(([pattern]) => pattern.test(name))?.[1].split(' ') ?? [];
  if (row.operands.some((o) => o.kind === 'C')) names.push('control_register_faults');
  if (row.operands.some((o) => o.kind === 'D')) names.push('debug_register_aliases', 'debug_general_detect');
  for (const test of names) {
    if (!known.has(test)) throw new Error(`${row.text}: there is no bare-metal test ${test}`);
  }
  return names;
}

export interface RowCoverage {
  readonly row: Row;
  /** Letters of the legend. */
  readonly letters: string;
  readonly bareMetal: readonly string[];
}

export function coverage(): readonly RowCoverage[] {
  const fuzzed = new Set<Row>();
  for (const mode of [64, 32] as const) {
    for (const shape of palette(mode).groups.flat()) fuzzed.add(shape.row);
  }
  const known = bareMetalNames();
  return ROWS.map((row) => {
    const encodable = shapesOf(row).length > 0;
    const letters = [
      encodable && comparable(row) ? 'N' : '',
      fuzzed.has(row) ? 'F' : '',
      encodable ? 'DE' : '',
    ].join('');
    return { row, letters, bareMetal: bareMetalOf(row, known) };
  });
}

/** Attributes that say something about the instruction rather than about the engine. */
const MODES: Readonly<Record<string, string>> = { o64: '64-bit only', i64: 'not in 64-bit', cpl0: 'CPL 0' };

function line({ row, letters, bareMetal }: RowCoverage): string {
  const [form = '', encoding = ''] = row.text.split('|').map((part) => part.trim());
  const { read, written, undefined: open } = row.flags;
  const flags = [
    read === '' ? '' : `r ${read}`,
    written === '' ? '' : `w ${written}`,
    open === '' ? '' : `u ${open}`,
  ];
  const sizes = rowSizes(row).filter((n) => n > 1);
  const notes = Object.entries(MODES).flatMap(([attribute, note]) =>
    row.attributes.has(attribute) ? [note] : [],
  );
  const cells = [
    form,
    encoding,
    [row.feature, ...notes].filter((text) => text !== '').join(', '),
    flags.filter((text) => text !== '').join(' '),
    sizes.map((n) => n * 8).join(' '),
    [letters, ...bareMetal].filter((text) => text !== '').join(' '),
  ];
  return `| ${cells.join(' | ')} |`.replaceAll('  ', ' ');
}

export function page(): string {
  const rows = coverage();
  const count = (matches: (r: RowCoverage) => boolean): number => rows.filter(matches).length;
  const has = (letter: string) => (r: RowCoverage) => r.letters.includes(letter);
  const mnemonics = new Set(rows.map((r) => r.row.mnemonic)).size;
  const forms = rows.reduce((sum, r) => sum + shapesOf(r.row).length, 0);
  return `# Instruction coverage

Made by \`tools/coverage.ts\` from the instruction table; do not edit. A row is one form as the opcode map (SDM volume
2, appendix A) writes it; \`packages/vm/src/x86/row.ts\` explains the notation. Flags: r read, w written, u undefined.

| | rows | what it means |
|---|---|---|
| all | ${rows.length} | ${mnemonics} mnemonics; ${forms} forms by operand size, register or memory, and mode |
| N | ${count(has('N'))} | compared with the host's CPU on every form, with random and with hostile values (\`test/oracle/rows.test.ts\`) |
| F | ${count(has('F'))} | part of random programs that run on the host's CPU too (\`fuzz/\`) |
| D | ${count(has('D'))} | encoder, decoder and disassembler agree with iced-x86 (\`packages/vm/src/x86/disasm.test.ts\`) |
| E | ${count(has('E'))} | generated WebAssembly does what the BigInt evaluator does (\`packages/vm/src/engine/interp/reference.test.ts\`) |
| names | ${count((r) => r.bareMetal.length > 0)} | bare-metal tests, whose binary also passes under QEMU, and KVM where it is (\`test/bare-metal/\`) |
| neither N nor a name | ${count((r) => !covered(r))} | ${uncovered(rows)} |

| row | encoding | feature | flags | sizes | tests |
|---|---|---|---|---|---|
${rows.map(line).join('\n')}
`;
}

/** Is there truth from outside about what it does? */
export function covered(r: RowCoverage): boolean {
  return r.letters.includes('N') || r.bareMetal.length > 0;
}
function uncovered(rows: readonly RowCoverage[]): string {
  const names = new Set(rows.filter((r) => !covered(r)).map((r) => r.row.mnemonic));
  return [...names].join(' ');
}

if (import.meta.main) {
  writeFileSync(PAGE, page());
  process.stdout.write(`${PAGE}\n`);
}
