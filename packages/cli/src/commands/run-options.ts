/** The options of `viv run`, checked. */
import {
  type EngineWish,
  KERNELS,
  type KernelName,
  parseSize,
  type TranslateOptions,
  VmError,
} from '@vivarium/vm';

export interface RunOptions {
  readonly image: 'busybox';
  /** Empty: the image's own command, a shell. */
  readonly command: readonly string[];
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly memoryBytes: number;
  readonly engine: EngineWish;
  /** Which of Debian's kernels. */
  readonly debianKernel: KernelName | undefined;
  /** A file instead of it. */
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly append: string | undefined;
  readonly disk: string | undefined;
  readonly mirror: string | undefined;
  readonly gdbPort: number | undefined;
  readonly console: boolean;
  readonly stats: boolean;
  /** Where the stacks of a profile go. */
  readonly profile: string | undefined;
  readonly symbols: readonly string[];
  readonly translate: TranslateOptions | undefined;
  readonly deterministic: DeterministicRun | undefined;
}

export interface DeterministicRun {
  readonly seed: number;
  /** File that takes the events. */
  readonly eventLog: string | undefined;
}

const IMAGES: readonly string[] = ['busybox'];

/** @param raw what the parser of the command line found */
export function parseRunOptions(
  image: string,
  command: readonly string[],
  raw: Readonly<Record<string, unknown>>,
): RunOptions {
  if (!IMAGES.includes(image)) {
    throw new VmError('IMAGE_UNKNOWN', {
      message: `there is no image '${image}'`,
      remedy: `This version knows: ${IMAGES.join(', ')}. For example: viv run --rm busybox -- uname -a`,
    });
  }
  const cpus = wholeNumber(text(raw, 'cpus') ?? '1', '--cpus', 1, 255);
  if (cpus > 1) {
    throw new VmError('CPUS_UNSUPPORTED', {
      message: `${cpus} CPUs were asked for, and machines have one CPU until several work`,
      remedy: 'Leave --cpus out',
    });
  }
  const gdb = text(raw, 'gdb');
  const tty = raw['tty'] === true;
  return {
    image: 'busybox',
    command: command[0] === '--' ? command.slice(1) : command,
    interactive: raw['interactive'] === true || tty,
    tty,
    memoryBytes: parseSize(text(raw, 'memory') ?? '256m', '-m'),
    engine: engineWish(text(raw, 'engine') ?? 'auto'),
    ...kernelChoice(text(raw, 'kernel')),
    initrd: text(raw, 'initrd'),
    append: text(raw, 'append'),
    disk: text(raw, 'disk'),
    mirror: text(raw, 'mirror'),
    gdbPort: gdb === undefined ? undefined : wholeNumber(gdb, '--gdb', 0, 65535),
    console: raw['console'] === true,
    stats: raw['stats'] === true,
    profile: text(raw, 'profile'),
    symbols: texts(raw, 'symbols'),
    translate: translateOptions(text(raw, 'translate'), text(raw, 'codeCache')),
    deterministic: deterministicRun(raw),
  };
}

function text(raw: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = raw[name];
  return typeof value === 'string' ? value : undefined;
}

function texts(raw: Readonly<Record<string, unknown>>, name: string): string[] {
  const value = raw[name];
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

/** A name from the table is one of Debian's kernels; anything else is a file. */
function kernelChoice(value: string | undefined): Pick<RunOptions, 'debianKernel' | 'kernel'> {
  const name = (Object.keys(KERNELS) as KernelName[]).find((known) => known === value);
  return name === undefined
    ? { debianKernel: undefined, kernel: value }
    : { debianKernel: name, kernel: undefined };
}

function engineWish(name: string): EngineWish {
  if (name === 'auto' || name === 'soft' || name === 'kvm') return name;
  throw new VmError('USAGE', {
    message: `there is no engine '${name}'`,
    remedy: 'Use --engine auto, soft or kvm',
  });
}

const TIERS: readonly TranslateOptions['tier'][] = ['off', 'auto', 'sync', 'random', 'always'];
const LEAST_CODE_CACHE = 2 ** 20;

function translateOptions(
  tier: string | undefined,
  codeCache: string | undefined,
): TranslateOptions | undefined {
  if (tier === undefined && codeCache === undefined) return undefined;
  const known = TIERS.find((name) => name === (tier ?? 'auto'));
  if (known === undefined) {
    throw new VmError('USAGE', {
      message: `there is no way to translate called '${tier}'`,
      remedy: `Use --translate ${TIERS.join(', ')}`,
    });
  }
  if (codeCache === undefined) return { tier: known };
  const cacheBytes = parseSize(codeCache, '--code-cache');
  if (cacheBytes >= LEAST_CODE_CACHE) return { tier: known, cacheBytes };
  throw new VmError('USAGE', {
    message: `${codeCache} of translated code is too little`,
    remedy: 'Use --code-cache 1m or more',
  });
}

function deterministicRun(raw: Readonly<Record<string, unknown>>): DeterministicRun | undefined {
  const seed = text(raw, 'seed');
  const eventLog = text(raw, 'eventLog');
  if (raw['deterministic'] === true)
    return { seed: wholeNumber(seed ?? '1', '--seed', 0, 2 ** 32 - 1), eventLog };
  if (seed === undefined && eventLog === undefined) return undefined;
  throw new VmError('USAGE', {
    message: `${seed === undefined ? '--event-log' : '--seed'} is for deterministic machines`,
    remedy: 'Add --deterministic',
  });
}

function wholeNumber(value: string, option: string, least: number, most: number): number {
  const number = Number(value);
  if (/^\d+$/.test(value) && number >= least && number <= most) return number;
  throw new VmError('USAGE', {
    message: `'${value}' is no whole number from ${least} to ${most} (option ${option})`,
    remedy: `For example: ${option} ${least === 1 && most < 1000 ? 1 : 1234}`,
  });
}
