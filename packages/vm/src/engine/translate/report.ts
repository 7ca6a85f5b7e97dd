/** What translating did for a vCPU, as text for people. */
import type { TranslationStats } from '../../machine/vcpu.ts';
import { FIRST_FORM, FORMS, MICRO } from '../interp/handlers.ts';

const MOST_ROWS = 30;

/** @param retired guest instructions, however they were executed */
export function translationReport(stats: TranslationStats, retired: bigint): string[] {
  const entered = Math.max(1, stats.entered);
  const translated = Math.max(1, stats.guestInstructions);
  return [
    `regions      ${stats.regions} in ${stats.modules} modules, about ${mebibytes(stats.bytes)} of memory; so far ` +
      `${stats.installed} installed, ${stats.refused} refused, ${stats.overwritten} overwritten, ${stats.evicted} evicted`,
    `requests     ${stats.requests}: ${stats.declined} declined, ${stats.forgotten} forgotten, ${stats.failed} failed`,
    ...(stats.lastError === undefined ? [] : [`last error   ${stats.lastError.split('\n', 1)[0]}`]),
    `code         ${stats.guestInstructions} guest instructions (copies counted) became ${stats.wasmBytes} bytes of ` +
      `WebAssembly: ${(stats.wasmBytes / translated).toFixed(1)} each`,
    `time         translating ${ms(stats.translateMs)}, compiling ${ms(stats.compileMs)} (V8's optimising compiler not ` +
      `counted), installing ${ms(stats.installMs)}`,
    `executed     ${share(stats.instructions, Number(retired))} of ${(Number(retired) / 1e6).toFixed(1)} M guest ` +
      `instructions in regions, ${(stats.instructions / entered).toFixed(1)} each time one was entered`,
    `entered      ${stats.entered} times; not entered because a page was mapped elsewhere: ${stats.mismatches}`,
    `exits        ${share(entered - stats.interprets, entered)} to look the next address up, ` +
      `${share(stats.interprets, entered)} for an instruction of the interpreter`,
    ...exitLine(stats),
    '',
    ...leftRows(stats),
  ];
}

/** @param allMs processor time of the whole process */
export function processorLine({ vcpuMs, translateMs, compileMs }: TranslationStats, allMs: number): string {
  const own = vcpuMs ?? 0;
  const made = translateMs + compileMs;
  return (
    `processor    ${ms(allMs)} in all: the vCPU's thread ${ms(own)}, translating and compiling ${ms(made)} (on a ` +
    `thread of their own with the tier auto), the rest V8's own threads and devices`
  );
}

/** Exits that were counted by their reason; the rest used up their budget in a loop. */
function exitLine({ exits, entered }: TranslationStats): string[] {
  if (exits.length === 0) return [];
  const parts = exits.map(({ reason, count }) => `${share(count, entered)} ${reason}`);
  return [`reasons      ${parts.join(', ')} (went on in another region at once)`];
}

/** The instructions that regions left to the interpreter, the most frequent first. */
function leftRows({ left }: TranslationStats): string[] {
  const total = left.reduce((sum, { count }) => sum + count, 0);
  const rows = new Map<string, number>();
  for (const { handler, count } of left) rows.set(nameOf(handler), (rows.get(nameOf(handler)) ?? 0) + count);
  const sorted = [...rows].sort(([, a], [, b]) => b - a);
  const lines = sorted
    .slice(0, MOST_ROWS)
    .map(([name, count]) => `${String(count).padStart(12)}${share(count, total).padStart(9)}  ${name}`);
  const rest = sorted.length - lines.length;
  return [
    `${'times'.padStart(12)}${'share'.padStart(9)}  left to the interpreter`,
    ...lines,
    ...(rest > 0 ? [`${''.padStart(21)}  (${rest} more)`] : []),
  ];
}

function nameOf(handler: number): string {
  const form = FORMS[handler - FIRST_FORM];
  if (form === undefined)
    return Object.entries(MICRO).find(([, n]) => n === handler)?.[0] ?? `handler ${handler}`;
  const { row, opsize, memory } = form;
  return `${row.text.split('|')[0]?.trim()}  ${opsize * 8}-bit${memory ? ', memory' : ''}`;
}

function share(part: number, whole: number): string {
  return `${((part / Math.max(1, whole)) * 100).toFixed(1)} %`;
}
function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
function ms(value: number): string {
  return value < 100 ? `${value.toFixed(1)} ms` : `${(value / 1000).toFixed(2)} s`;
}
