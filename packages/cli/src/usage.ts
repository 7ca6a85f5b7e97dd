/** What the parser of the command line says, as a `VmError` with a remedy. */
import { VmError } from '@vivarium/vm';
import type { CommanderError } from 'commander';

const COMMANDS: ReadonlySet<string> = new Set(['run', 'doctor', 'version', 'debug']);

export function usageError(error: CommanderError, args: readonly string[]): VmError {
  const command = args.find((arg) => COMMANDS.has(arg));
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  if (error.code === 'commander.help') {
    return new VmError('USAGE', {
      message: 'no command was given',
      remedy: 'See what there is with: viv --help',
    });
  }
  return new VmError('USAGE', {
    message,
    remedy: `See what there is with: viv ${command === undefined ? '' : `${command} `}--help`,
  });
}
