/** What a person says about a deterministic machine, checked. */
import { VmError } from '../base/errors.ts';
import {
  type CountedEvent,
  DETERMINISTIC_DEFAULTS,
  type DeterministicSettings,
} from '../machine/deterministic.ts';

export interface DeterministicOptions {
  /** Of all random numbers in the guest; 32 bits. Default 1. */
  readonly seed?: number;
  /** How long an instruction takes in the guest's time: a whole number of nanoseconds. Default 1. */
  readonly nsPerInstruction?: number;
  /** The wall clock's start. Default 2026-01-01T00:00:00Z. */
  readonly startTime?: Date;
  /** Hash guest memory and CPU each time so many instructions have retired; told as events. */
  readonly checkpointEvery?: number;
  /** Told what happens, at which instruction: two runs whose events are the same are the same run. */
  readonly onEvent?: (event: CountedEvent) => void;
}

export interface DeterministicConfig {
  readonly deterministic?: DeterministicSettings;
  readonly onEvent?: ((event: CountedEvent) => void) | undefined;
}

/** @throws VmError USAGE */
export function deterministicConfig(wanted: boolean | DeterministicOptions): DeterministicConfig {
  if (wanted === false) return {};
  const defaults = DETERMINISTIC_DEFAULTS;
  const { seed, nsPerInstruction, startTime, checkpointEvery, onEvent } = wanted === true ? {} : wanted;
  return {
    deterministic: {
      seed: whole('seed', seed ?? defaults.seed, 0, 2 ** 32 - 1),
      nsPerInstruction: whole('nsPerInstruction', nsPerInstruction ?? defaults.nsPerInstruction, 1, 1000),
      startTimeMs: whole('startTime', startTime?.getTime() ?? defaults.startTimeMs, 0, 8.64e15),
      checkpointEvery: whole('checkpointEvery', checkpointEvery ?? 0, 0, 2 ** 53 - 1),
      log: onEvent !== undefined,
    },
    onEvent,
  };
}

function whole(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new VmError('USAGE', {
    message: `deterministic.${name} is ${value}; it is a whole number from ${least} to ${most}`,
    remedy: 'Change it, or leave it out',
  });
}
