/** What `viv debug` needs. The instruction table is loaded when asked for: a machine's main thread has no use for it. */
import { VmError } from '../../base/errors.ts';
import type { CodeMode } from '../../engine/explain.ts';
import { extractVmlinux } from '../../firmware/kernel/vmlinux.ts';
import { parseElf } from '../../firmware/loaders/elf.ts';
import type { RegionReport, TranslationStats } from '../../machine/vcpu.ts';
import type { TraceFormatter } from '../../vm/trace-format.ts';
import { nodeDecompressor } from './decompressor.ts';

export interface ExplainFileOptions {
  /** Linear address; for a kernel a physical one will do. */
  readonly address: bigint;
  /** Default 64-bit. */
  readonly mode?: CodeMode;
  /** The file is plain code that begins at this address. Without it: a kernel (vmlinux, bzImage). */
  readonly base?: bigint | undefined;
}

/** @throws VmError KERNEL_NOT_A_KERNEL, KERNEL_CORRUPT, USAGE when the address is outside */
export async function explainFile(file: Uint8Array, o: ExplainFileOptions): Promise<string[]> {
  const bytes = o.base === undefined ? await kernelCode(file, o.address) : from(file, o.address - o.base);
  if (bytes === undefined || bytes.length === 0) {
    throw new VmError('USAGE', {
      message: `there is no code at 0x${o.address.toString(16)} in this file`,
      remedy:
        'Take an address of the kernel as it is linked, for example 0xffffffff81000000; --base ADDRESS for plain code',
    });
  }
  return explainBytes(o.address, bytes, o.mode ?? 2);
}

/** What the engine makes of the code `bytes` at `address`. */
export async function explainBytes(address: bigint, bytes: Uint8Array, mode: CodeMode): Promise<string[]> {
  const { explain } = await import('../../engine/explain.ts');
  return explain({ address, bytes, mode });
}

function from(bytes: Uint8Array, offset: bigint): Uint8Array | undefined {
  return offset < 0n || offset >= BigInt(bytes.length) ? undefined : bytes.subarray(Number(offset));
}

async function kernelCode(file: Uint8Array, address: bigint): Promise<Uint8Array | undefined> {
  const { segments } = parseElf(await extractVmlinux(file, nodeDecompressor));
  for (const base of [
    (s: (typeof segments)[number]) => s.vaddr,
    (s: (typeof segments)[number]) => BigInt(s.paddr),
  ]) {
    for (const segment of segments) {
      const found = from(segment.bytes, address - base(segment));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** What translating did, line by line. @param retired guest instructions, however they were executed */
export async function translationReport(stats: TranslationStats, retired: bigint): Promise<string[]> {
  const report = await import('../../engine/translate/report.ts');
  return report.translationReport(stats, retired);
}

/** A translated region: guest code and WebAssembly, line by line. */
export async function regionText(region: RegionReport): Promise<string[]> {
  const text = await import('../../engine/translate/region-text.ts');
  return text.regionText(region);
}

/** A translated region in one line. */
export async function regionLine(region: RegionReport): Promise<string> {
  const text = await import('../../engine/translate/region-text.ts');
  return text.regionLine(region);
}

export async function traceFormatter(): Promise<TraceFormatter> {
  const { TraceFormatter } = await import('../../vm/trace-format.ts');
  return new TraceFormatter();
}
