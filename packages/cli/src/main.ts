/** `viv`: parses the command line, runs one command, and ends the process with its exit code. */
import { CommanderError } from 'commander';
import { EXIT_OUR_ERROR, renderError } from './errors.ts';
import { createProgram } from './program.ts';
import { usageError } from './usage.ts';

export async function main(args: readonly string[]): Promise<void> {
  // A reader that went away (`viv run … | head`) ends us as it would end any program.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(141);
  });
  const code = await runProgram(args);
  process.stdout.write('', () => process.exit(code));
}

async function runProgram(args: readonly string[]): Promise<number> {
  let code = 0;
  const program = createProgram((exitCode) => {
    code = exitCode;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      process.stderr.write(renderError(usageError(error, args)));
      return EXIT_OUR_ERROR;
    }
    process.stderr.write(renderError(error));
    return EXIT_OUR_ERROR;
  }
}
