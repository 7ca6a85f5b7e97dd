/**
 * A process that runs one of our machines from the built library, for the benchmarks: alone, so that its CPU time and
 * memory are the machine's. Argument: JSON of kernel, initrd, memoryMib, quiet. Lines of JSON on standard output:
 * `{event: 'init' | 'ready'}`, then one answer per line of standard input, `{run: COMMAND}`. Ends with standard input.
 */
import { createInterface } from 'node:readline';
import { VM } from '@vivarium/vm';

const INIT_MARK = /Run \/init as init process/;

const { kernel, initrd, memoryMib, quiet } = JSON.parse(process.argv[2] ?? '{}');
const say = (record) => process.stdout.write(`${JSON.stringify(record)}\n`);

const vm = await VM.start({
  kernel,
  initrd,
  memory: memoryMib * 2 ** 20,
  engine: 'soft',
  quiet,
  noReboot: true,
});
void watchSerial();
await vm.ready;
say({ event: 'ready' });

for await (const line of createInterface({ input: process.stdin })) {
  const { run } = JSON.parse(line);
  const before = await instructions();
  const began = performance.now();
  const { exitCode, stderr } = await vm.exec(['sh', '-c', `{ ${run}; } >/dev/null`]);
  const ms = performance.now() - began;
  if (exitCode !== 0) throw new Error(`'${run}' ended with ${exitCode}: ${stderr}`);
  say({ ms, instructions: Number((await instructions()) - before) });
}
await vm.powerOff();

/** The counter is exact only while the machine stands still. */
async function instructions() {
  await vm.pause();
  const count = vm.retired;
  await vm.resume();
  return count;
}

async function watchSerial() {
  let text = '';
  let seen = false;
  const decoder = new TextDecoder();
  for await (const bytes of vm.serial) {
    if (seen) continue;
    text = (text + decoder.decode(bytes, { stream: true })).slice(-10_000);
    if (!INIT_MARK.test(text)) continue;
    seen = true;
    say({ event: 'init' });
  }
}
