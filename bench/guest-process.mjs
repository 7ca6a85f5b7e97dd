/**
 * A process that runs one of our machines from the built library, for the benchmarks: alone, so that its CPU time and
 * memory are the machine's. Argument: JSON of kernel, initrd, memoryMib, quiet, translate, stats. Lines of JSON on standard
 * output: `{event: 'init', console}`, `{event: 'ready'}`; then for each line of standard input, `{run: COMMAND}`, with
 * a COMMAND that prints the marks of guest.ts: `{event: 'begin'}`, `{event: 'end'}` as the marks arrive, and
 * `{event: 'done', exitCode, output, stderr, instructions, translation, handles}`, the translator's counters and the open
 * handles of the event loop. Ends with standard input.
 */
import { createInterface } from 'node:readline';
import { translationReport, VM } from '../packages/vm/dist/node.js';

const INIT_MARK = /Run \/init as init process/;
const END_MARK = /@end \d+\n/;

const { kernel, initrd, memoryMib, quiet, translate, stats } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);

const vm = await VM.start({
  kernel,
  initrd,
  memory: memoryMib * 2 ** 20,
  engine: 'soft',
  quiet,
  noReboot: true,
  ...(translate === undefined ? {} : { translate }),
});
void watchSerial();
await vm.ready;
say({ event: 'ready' });

for await (const line of createInterface({ input: process.stdin })) {
  const { run } = JSON.parse(line);
  const before = await instructions();
  const translationBefore = vm.translation;
  const running = vm.spawn({ argv: ['sh', '-c', run], tty: false });
  const [exitCode, output, stderr] = await Promise.all([
    running.exitCode,
    read(running.stdout, sayMarks()),
    read(running.stderr, () => {}),
    running.stdin.close(),
  ]);
  const executed = (await instructions()) - before;
  const { translation } = vm;
  const handles = process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length;
  say({ event: 'done', exitCode, output, stderr, instructions: Number(executed), translation, handles });
  if (stats) await reportTranslation(translationBefore, translation, executed);
}
await vm.powerOff();

/** The counter is exact only while the machine stands still. */
async function instructions() {
  await vm.pause();
  const count = vm.retired;
  await vm.resume();
  return count;
}

/** What the translator did meanwhile; regions, modules and their memory as they are now. */
async function reportTranslation(before, after, executed) {
  if (after === undefined) return;
  const change = { ...after };
  for (const [name, value] of Object.entries(after))
    if (typeof value === 'number' && !['regions', 'modules', 'bytes'].includes(name))
      change[name] = value - (before?.[name] ?? 0);
  const known = new Map(before?.left.map(({ handler, count }) => [handler, count]));
  change.left = after.left
    .map(({ handler, count }) => ({ handler, count: count - (known.get(handler) ?? 0) }))
    .filter(({ count }) => count > 0);
  process.stderr.write(`${(await translationReport(change, executed)).join('\n')}\n`);
}

function sayMarks() {
  let begun = false;
  return (text) => {
    if (!begun && text.includes('@begin\n')) {
      begun = true;
      say({ event: 'begin' });
    }
    if (END_MARK.test(text)) say({ event: 'end' });
  };
}

async function read(stream, see) {
  let text = '';
  const decoder = new TextDecoder('latin1');
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    see(text);
  }
  return text;
}

async function watchSerial() {
  let text = '';
  let seen = false;
  const decoder = new TextDecoder();
  for await (const bytes of vm.serial) {
    if (seen) continue;
    text += decoder.decode(bytes, { stream: true });
    if (!INIT_MARK.test(text)) continue;
    seen = true;
    say({ event: 'init', console: text });
  }
}
