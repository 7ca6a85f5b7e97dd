/** A vCPU's thread whose guest only waits: it speaks the protocol of the real one and leaves on STOP. */
import { parentPort, workerData } from 'node:worker_threads';
import { VCPU_BASE } from '../../packages/vm/src/machine/layout.ts';
import { Request, VcpuMailbox } from '../../packages/vm/src/machine/mailbox.ts';
import { GuestMemory } from '../../packages/vm/src/machine/memory.ts';
import type { VcpuExit } from '../../packages/vm/src/machine/vcpu.ts';
import { resetVcpu } from '../../packages/vm/src/machine/vcpu-reset.ts';
import type { VcpuRecord } from '../../packages/vm/src/machine/vcpu-state.ts';
import { executeCommand, type VcpuCommand } from '../../packages/vm/src/vm/vcpu-messages.ts';
import type { SharedParts } from '../../packages/vm/src/vm.ts';

const { memory, layout, behaviour } = workerData as SharedParts & { behaviour: 'idle' | 'throw' | 'spin' };
const mailbox = new VcpuMailbox(memory.buffer, VCPU_BASE);
let record: VcpuRecord = resetVcpu(0);

function run(): VcpuExit {
  if (behaviour === 'throw') throw new RangeError('a defect');
  for (;;) {
    mailbox.takeAttention();
    if (behaviour !== 'spin' && (mailbox.takeRequests() & Request.STOP) !== 0) return { kind: 'stopped' };
    if (behaviour !== 'spin') mailbox.sleep(Infinity);
  }
}

const vcpu = {
  load: (next: VcpuRecord) => void (record = next),
  save: () => record,
  run,
  setDebug: () => undefined,
  retired: () => 0n,
  translationStats: () => undefined,
  regions: () => [],
};
const guestMemory = new GuestMemory(memory.buffer, layout, []);
parentPort?.on('message', (command: VcpuCommand) =>
  parentPort?.postMessage(executeCommand(vcpu, command, guestMemory)),
);
