/** `npm start`: a shell in a machine on a terminal; otherwise boot, say what ran, power off. */
import { ESCAPE_HELP } from '../escape.ts';
import { startMachine } from '../machine.ts';
import { runGuest } from './run.ts';
import { parseRunOptions } from './run-options.ts';

export async function startDemo(): Promise<number> {
  if (process.stdin.isTTY && process.stdout.isTTY) {
    process.stderr.write(
      `viv: booting Debian's kernel; in its shell, poweroff ends the machine (${ESCAPE_HELP} at once)\n`,
    );
    return runGuest(parseRunOptions('busybox', [], { tty: true, console: true }));
  }
  const vm = await startMachine(parseRunOptions('busybox', [], {}), undefined);
  try {
    const began = performance.now();
    const release = await vm.ready;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(`kernel: Linux ${release} (Debian), in user space after ${seconds} s`);
    console.log(`engine: ${vm.engine.name} (${vm.engine.why})`);
  } finally {
    await vm.stop();
  }
  const { reason, error } = await vm.exited;
  if (error !== undefined) throw error;
  console.log(`ended: ${reason}`);
  return 0;
}
