/** The x2APIC registers as MSRs 0x800–0x83f (SDM 3A, table 11-6). */
import { APIC, type Apic } from './apic.ts';

export const X2APIC_FIRST = 0x800;
export const X2APIC_LAST = 0x8ff;

const READABLE: ReadonlySet<number> = new Set([
  APIC.ID,
  APIC.VERSION,
  APIC.TPR,
  APIC.PPR,
  APIC.LDR,
  APIC.SVR,
  ...Array.from({ length: 24 }, (_, i) => APIC.ISR + i * 16),
  APIC.ESR,
  APIC.ICR,
  APIC.LVT_TIMER,
  APIC.LVT_THERMAL,
  APIC.LVT_PERFORMANCE,
  APIC.LVT_LINT0,
  APIC.LVT_LINT1,
  APIC.LVT_ERROR,
  APIC.INITIAL_COUNT,
  APIC.CURRENT_COUNT,
  APIC.DIVIDE,
]);
/** Writable registers and their bits that must be 0. */
const RESERVED: ReadonlyMap<number, number> = new Map([
  [APIC.TPR, ~0xff],
  [APIC.EOI, ~0],
  [APIC.SVR, ~0x11ff],
  [APIC.ESR, ~0],
  [APIC.LVT_TIMER, ~0x7_10ff],
  [APIC.LVT_THERMAL, ~0x1_17ff],
  [APIC.LVT_PERFORMANCE, ~0x1_17ff],
  [APIC.LVT_LINT0, ~0x1_f7ff],
  [APIC.LVT_LINT1, ~0x1_f7ff],
  [APIC.LVT_ERROR, ~0x1_10ff],
  [APIC.INITIAL_COUNT, 0],
  [APIC.DIVIDE, ~0xb],
  [APIC.SELF_IPI, ~0xff],
]);

/** The value, or null for #GP. */
export function readX2apic(apic: Apic, msr: number): bigint | null {
  const offset = (msr - X2APIC_FIRST) << 4;
  if (!apic.x2apic || !READABLE.has(offset)) return null;
  const low = BigInt(apic.read(offset) >>> 0);
  return offset === APIC.ICR ? low | (BigInt(apic.get(APIC.ICR_HIGH)) << 32n) : low;
}

/** False for #GP. */
export function writeX2apic(apic: Apic, msr: number, value: bigint): boolean {
  const offset = (msr - X2APIC_FIRST) << 4;
  if (!apic.x2apic) return false;
  const low = Number(value & 0xffff_ffffn);
  if (offset === APIC.ICR) {
    apic.set(APIC.ICR_HIGH, Number(value >> 32n));
    apic.write(APIC.ICR, low);
    return true;
  }
  const reserved = RESERVED.get(offset);
  if (reserved === undefined || value >> 32n !== 0n || (low & reserved) !== 0) return false;
  apic.write(offset, low);
  return true;
}
