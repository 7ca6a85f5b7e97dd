/** The translator that compile threads and vCPUs use. */
import type { Translate } from './region-tier.ts';

/** Nothing is worth translating. */
export const translator: Translate = () => null;
