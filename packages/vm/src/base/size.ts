/** Sizes as Docker writes them: `512m`, `2g`, `1.5g`, plain bytes. */
import { VmError } from './errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** @param option the option's name, for the message @returns bytes */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?$/i.exec(text.trim());
  const unit = match === null ? undefined : UNITS[(match[2] ?? '').toLowerCase()];
  const bytes = Math.round(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new VmError('USAGE', {
      message: `'${text}' is no size (option ${option})`,
      remedy: `Write a number with a unit, for example: ${option} 512m`,
    });
  }
  return bytes;
}
