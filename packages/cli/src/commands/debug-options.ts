/** Options of the debug tools. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { VmError } from '@vivarium/vm';

export interface DebugArguments {
  readonly values: Readonly<Record<string, string | undefined>>;
  readonly positionals: readonly string[];
}

/** @param names options that take a value @throws VmError USAGE */
export function parseDebugArguments(
  args: readonly string[],
  names: readonly string[],
  usage: string,
): DebugArguments {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const name of names) options[name] = { type: 'string' };
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return { values: values as Record<string, string | undefined>, positionals };
  } catch (cause) {
    throw usageError(cause instanceof Error ? cause.message : String(cause), usage);
  }
}

export function usageError(message: string, usage: string): VmError {
  return new VmError('USAGE', { message, remedy: `Usage: ${usage}` });
}

/** A decimal or 0x number. */
export function parseAddress(text: string, usage: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw usageError(`'${text}' is no address`, usage);
  return BigInt(text);
}

export function parseCount(text: string, usage: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw usageError(`'${text}' is no count`, usage);
  return Number(text);
}
