/** The same kernel and initramfs under QEMU's TCG, driven by the same guest protocol. */
import { kernelCommandLine } from '../packages/vm/src/vm/kernel-command-line.ts';
import { QemuVm } from '../test/guest/qemu.ts';
import { cpuMs, settledCpuMs } from './cpu-time.ts';
import { BEGIN_MARK, type BootFiles, END_MARK, type Guest, type Measured, marked, within } from './guest.ts';
import { INIT_MARK } from './workloads.ts';

export async function bootQemu(files: BootFiles, limitMs: number, cpu: string): Promise<Guest> {
  const began = performance.now();
  const vm = new QemuVm({ ...files, cpu, append: kernelCommandLine(false, undefined) });
  const stop = (): Promise<void> => vm[Symbol.asyncDispose]();
  try {
    await within(vm.ports.serial.expect(INIT_MARK), limitMs, 'QEMU: boot to /init');
    const init = { ms: performance.now() - began, cpuMs: cpuMs(vm.pid) };
    const console = vm.ports.serial.text;
    await within(vm.ports.control.expect(/ready 1 .*\n/), limitMs, 'QEMU: boot to ready');
    const { pid, commandLine } = vm;
    const run = (command: string, limit: number): Promise<Measured> =>
      within(runMarked(vm, command), limit, `QEMU: ${command}`);
    return { pid, init, console, commandLine, run, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function runMarked(vm: QemuVm, command: string): Promise<Measured> {
  const { stdout, control } = vm.ports;
  await vm.control(`argv 'sh' '-c' '${marked(command).replaceAll("'", `'\\''`)}'`, 'exec pipe');
  await stdout.expect(BEGIN_MARK);
  const cpuBefore = cpuMs(vm.pid);
  const start = performance.now();
  const [, output = '', code] = await stdout.expect(END_MARK);
  const ms = performance.now() - start;
  if (code !== '0') throw new Error(`QEMU: ${command}: exit code ${code}\n${vm.ports.stderr.text}`);
  await control.expect(/exit \d+\n/);
  const cpu = (await settledCpuMs(vm.pid)) - cpuBefore;
  return { ms, cpuMs: cpu, output, instructions: undefined };
}
