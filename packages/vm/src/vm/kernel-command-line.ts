/** The kernel command line that every guest gets, word by word with its reason. */
const WORDS: readonly string[] = [
  // Messages go to the serial port; terminals are virtio consoles of their own.
  'console=ttyS0',
  // A panic restarts at once; whether a restart is allowed is the machine's setting.
  'panic=-1',
  // With hardware-reduced ACPI Linux restarts through EFI, and without EFI through the BIOS; there is neither.
  'reboot=acpi',
  // There are no PS/2 mouse and no multiplexed controller to wait for.
  'i8042.noaux',
  'i8042.nomux',
  'i8042.dumbkbd',
  // The processor cannot leak: there is no speculation in software.
  'mitigations=off',
  // One exact clock: nothing has to be watched or compared periodically, which would wake an idle guest.
  'tsc=reliable',
  'nowatchdog',
  // Self-tests of the cipher modules would cost seconds of boot.
  'cryptomgr.notests',
];

/**
 * @param quiet no messages below errors, which makes a boot faster too
 * @param append the user's words; the last of contradicting words counts
 */
export function kernelCommandLine(quiet: boolean, append: string | undefined): string {
  return [...WORDS, ...(quiet ? ['quiet'] : []), ...(append === undefined ? [] : [append])].join(' ');
}
