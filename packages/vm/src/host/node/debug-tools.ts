/** What `viv debug` needs. The instruction table is loaded when asked for: a machine's main thread has no use for it. */
import { VmError } from '../../base/errors.ts';
import type { CodePart } from '../../engine/translate/explain-region.ts';
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
  const parts = o.base === undefined ? await kernelCode(file) : [{ address: o.base, bytes: file }];
  const bytes = codeFrom(parts, o.address);
  if (bytes === undefined || bytes.length === 0) {
    throw new VmError('USAGE', {
      message: `there is no code at 0x${o.address.toString(16)} in this file`,
      remedy:
        'Take an address of the kernel as it is linked, for example 0xffffffff81000000; --base ADDRESS for plain code',
    });
  }
  const { mode = 2 } = o;
  const block = await explainBytes(o.address, bytes, mode);
  if (mode !== 2) return block;
  const { explainRegion } = await import('../../engine/translate/explain-region.ts');
  const region = explainRegion(parts, o.address);
  if (region === null)
    return [...block, '', 'no region begins here: its first instruction is not translated'];
  return [...block, '', 'if everything here is equally hot:', ...(await regionText(region))];
}

/** What the engine makes of the code `bytes` at `address`. */
export async function explainBytes(address: bigint, bytes: Uint8Array, mode: CodeMode): Promise<string[]> {
  const { explain } = await import('../../engine/explain.ts');
  return explain({ address, bytes, mode });
}

function codeFrom(parts: readonly CodePart[], address: bigint): Uint8Array | undefined {
  for (const part of parts) {
    const offset = address - part.address;
    if (offset >= 0n && offset < BigInt(part.bytes.length)) return part.bytes.subarray(Number(offset));
  }
  return undefined;
}

/** Where the kernel is linked, then where it is loaded. */
async function kernelCode(file: Uint8Array): Promise<CodePart[]> {
  const { segments } = parseElf(await extractVmlinux(file, nodeDecompressor));
  return [
    ...segments.map(({ vaddr, bytes }) => ({ address: vaddr, bytes })),
    ...segments.map(({ paddr, bytes }) => ({ address: BigInt(paddr), bytes })),
  ];
}

/**
 * What translating did, line by line, and what all of this process's threads used of the processor.
 * @param retired guest instructions, however they were executed
 */
export async function translationReport(stats: TranslationStats, retired: bigint): Promise<string[]> {
  const report = await import('../../engine/translate/report.ts');
  const { user, system } = process.cpuUsage();
  return [
    ...report.translationReport(stats, retired),
    '',
    report.processorLine(stats, (user + system) / 1000),
  ];
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
