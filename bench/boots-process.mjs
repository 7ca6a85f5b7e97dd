/**
 * A process that boots machines one after the other from the built library. Arguments: JSON of kernel, initrd,
 * memoryMib, and how many. One line of JSON per machine that has ended.
 */
import { readFileSync } from 'node:fs';
import { VM } from '../packages/vm/dist/node.js';

const { kernel, initrd, memoryMib } = JSON.parse(process.argv[2] ?? '{}');
const pss = () => Number(/^Pss:\s+(\d+)/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))?.[1]) * 1024;
const threads = () => Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);

for (let boot = 1; boot <= Number(process.argv[3]); boot++) {
  const began = performance.now();
  const vm = await VM.start({ kernel, initrd, memory: memoryMib * 2 ** 20, noReboot: true });
  await vm.ready;
  const running = pss();
  await vm.stop();
  await vm.exited;
  // a worker's thread is gone a moment after its last message
  await new Promise((resolve) => setTimeout(resolve, 50));
  const left = process.getActiveResourcesInfo().filter((name) => name !== 'Timeout').length;
  const ms = performance.now() - began;
  process.stdout.write(`${JSON.stringify({ boot, ms, running, after: pss(), threads: threads(), left })}\n`);
}
