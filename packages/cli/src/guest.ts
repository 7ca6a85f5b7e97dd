/** What `viv run` needs of a command that runs in a machine. */
import type { GuestProcess } from '@vivarium/vm';

export interface GuestCommand extends GuestProcess {
  /** Ends the machine at once; `exitCode` settles afterwards. */
  kill(): void;
}
