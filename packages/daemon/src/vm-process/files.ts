/**
 * Files of a VM in its folder `<state>/vms/<id>/`; each is given to the process by name, so that no other file, and no
 * link, is within its reach:
 *
 *   log.ndjson, log.1.ndjson …   output, newest first, at most MAX_LOG_FILES
 *   exit.json, exit.json.new     how the run ended
 *   stderr.log                   what the process itself says; the daemon opens it
 */
import { join } from 'node:path';

export const MAX_LOG_FILES = 20;

export interface VmFiles {
  readonly exit: string;
  readonly exitNew: string;
  readonly stderr: string;
  readonly logs: readonly string[];
}

/** @param folder the VM's own */
export function vmFiles(folder: string): VmFiles {
  const logs = Array.from({ length: MAX_LOG_FILES }, (_, i) =>
    join(folder, i === 0 ? 'log.ndjson' : `log.${i}.ndjson`),
  );
  return {
    exit: join(folder, 'exit.json'),
    exitNew: join(folder, 'exit.json.new'),
    stderr: join(folder, 'stderr.log'),
    logs,
  };
}
