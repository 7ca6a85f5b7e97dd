/** The command line as a table of commands and options. */
import { KERNELS } from '@vivarium/vm';
import { Command, Option } from 'commander';
import { runDebug } from './commands/debug.ts';
import { runDoctor } from './commands/doctor.ts';
import { runImage } from './commands/run.ts';
import { startDemo } from './commands/start-demo.ts';
import { printVersion } from './commands/version.ts';
import { ESCAPE_HELP } from './escape.ts';

/** An option that may be given several times. */
function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

/** @param exit takes the exit code of the command that ran */
export function createProgram(exit: (code: number) => void): Command {
  const program = new Command('viv')
    .description('x86-64 virtual machines in TypeScript and WebAssembly')
    .exitOverride()
    // The error screen is ours (errors.ts).
    .configureOutput({ writeErr: () => {} })
    .enablePositionalOptions()
    .showSuggestionAfterError(true);

  program
    .command('run')
    .description("create and start a machine; exits with the guest command's code")
    .argument('<image>', 'what to run: busybox')
    .argument('[command...]', 'the command in the guest and its arguments (default: a shell)')
    .option('--rm', 'remove the machine when it ends (always so, for now)')
    .option('-i, --interactive', 'connect standard input')
    .option('-t, --tty', `give the command a terminal; ${ESCAPE_HELP}`)
    .option('-m, --memory <size>', 'guest memory', '256m')
    .option('--cpus <number>', 'number of CPUs', '1')
    .option('--engine <engine>', 'auto, soft or kvm', 'auto')
    .option(
      '--kernel <file>',
      `a Linux kernel (vmlinux, bzImage), or one of Debian's: ${Object.keys(KERNELS).join(', ')}`,
    )
    .option('--initrd <file>', 'an initramfs instead of the built one')
    .option('--append <string>', 'added to the kernel command line')
    .option('--disk <file>', 'a raw disk image as /dev/vda')
    .option('--mirror <url>', "where Debian's packages come from")
    .option('--deterministic', 'count instructions instead of time: the same inputs give the same run')
    .option('--seed <number>', 'of the random numbers in a deterministic machine (default: 1)')
    .option('--event-log <file>', 'write what happened in a deterministic machine, and at which instruction')
    .option('--gdb <port>', 'wait for a gdb on this port of the loopback interface')
    .option(
      '--profile <file>',
      'sample where the guest is: flame-graph stacks into this file, a table on standard error',
    )
    .option(
      '--symbols <path>',
      'a program, or a folder of such, whose functions a profile names',
      collect,
      [],
    )
    .option('--code-cache <size>', 'memory for translated guest code (default: 64m)')
    .addOption(new Option('--translate <when>', 'off, auto, sync, random or always').hideHelp())
    .option('--stats', 'what the translator did, on standard error, when the machine has ended')
    .option('--console', "show the kernel's messages on standard error")
    .passThroughOptions()
    .allowExcessArguments(true)
    .exitOverride()
    .action(async (image: string, command: string[], options: Record<string, unknown>) => {
      exit(await runImage(image, command, options));
    });

  program
    .command('doctor')
    .description('which engine runs here, why, and what is missing')
    .option('--json', 'as one JSON object')
    .action(async (options: { json?: boolean }) => {
      exit(await runDoctor(options.json === true));
    });

  program
    .command('version')
    .description('the version of viv')
    .option('--json', 'as one JSON object')
    .action((options: { json?: boolean }) => printVersion(options.json === true));

  program
    .command('debug')
    .description('tools for those who work on viv: explain, regions, bisect, trace')
    .argument('[tool]')
    .argument('[arguments...]')
    .passThroughOptions()
    .allowUnknownOption(true)
    .action(async (tool: string | undefined, args: string[]) => {
      exit(await runDebug(tool, args));
    });

  program.command('start-demo', { hidden: true }).action(async () => {
    exit(await startDemo());
  });

  return program;
}
