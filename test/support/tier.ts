/**
 * `VIV_TEST_TIER=always npm test test/guest-c/ test/programs/`: runs the guests of these tests with another tier than
 * the usual one: off, auto, sync, random or always. The last two take long: every block is compiled that ever runs.
 */
import type { TranslateOptions } from '../../packages/vm/src/machine/vcpu.ts';

const TIERS = ['off', 'auto', 'sync', 'random', 'always'] as const;

export function testTier(): TranslateOptions | undefined {
  const wanted = process.env['VIV_TEST_TIER'] ?? '';
  if (wanted === '') return undefined;
  const tier = TIERS.find((name) => name === wanted);
  if (tier === undefined) throw new Error(`VIV_TEST_TIER is one of ${TIERS.join(', ')}`);
  return { tier };
}
