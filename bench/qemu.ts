/** The same kernel and initramfs under QEMU's TCG, driven by the same guest protocol. */
import { QemuVm } from '../test/guest/qemu.ts';
import type { BootFiles, Guest, Measured } from './guest.ts';
import { INIT_MARK } from './workloads.ts';

export async function bootQemu(files: BootFiles): Promise<Guest> {
  const began = performance.now();
  const vm = new QemuVm({ kernel: files.kernel, initrd: files.initrd, append: 'mitigations=off' });
  await vm.ports.serial.expect(INIT_MARK);
  const initMs = performance.now() - began;
  await vm.ports.control.expect(/ready 1 .*\n/);
  return {
    initMs,
    async run(command: string): Promise<Measured> {
      const quoted = `'${`{ ${command}; } >/dev/null`.replaceAll("'", `'\\''`)}'`;
      const start = performance.now();
      await vm.control(`argv 'sh' '-c' ${quoted}`, 'exec pipe');
      await vm.ports.control.expect(/exit 0\n/);
      return { ms: performance.now() - start, instructions: undefined };
    },
    stop: () => vm[Symbol.asyncDispose](),
  };
}
