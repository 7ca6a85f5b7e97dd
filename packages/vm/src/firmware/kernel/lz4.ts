/**
 * LZ4 blocks, and the legacy frame that Linux kernels use (lz4_Frame_format.md, "Legacy frame"; lz4_Block_format.md):
 *
 *   u32 magic 0x184c2102 │ { u32 compressed size │ block, at most 8 MiB of output } … until the end
 */
export const LZ4_LEGACY_MAGIC = 0x184c2102;
const LEGACY_BLOCK_BYTES = 8 << 20;
const MIN_MATCH = 4;

/**
 * Decodes one block: `source[from, to)` into `target` from `at` on. Returns the end of the output, or -1 when the
 * block is damaged or does not fit. Matches may not reach before `at`.
 */
export function decodeLz4Block(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  at: number,
): number {
  const limit = target.length;
  let input = from;
  let output = at;
  while (input < to) {
    const token = source[input++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (input >= to) return -1;
        more = source[input++] as number;
        literals += more;
      } while (more === 255);
    }
    if (literals > to - input || literals > limit - output) return -1;
    if (literals < 32) {
      for (const end = output + literals; output < end; ) target[output++] = source[input++] as number;
    } else {
      target.set(source.subarray(input, input + literals), output);
      output += literals;
      input += literals;
    }
    if (input === to) return output; // The last sequence has literals only.
    if (to - input < 2) return -1;
    const distance = (source[input] as number) | ((source[input + 1] as number) << 8);
    input += 2;
    let length = token & 15;
    if (length === 15) {
      let more: number;
      do {
        if (input >= to) return -1;
        more = source[input++] as number;
        length += more;
      } while (more === 255);
    }
    length += MIN_MATCH;
    let match = output - distance;
    if (distance === 0 || match < at || length > limit - output) return -1;
    if (length < 64 || distance < length) {
      for (const end = output + length; output < end; ) target[output++] = target[match++] as number;
    } else {
      target.copyWithin(output, match, match + length);
      output += length;
    }
  }
  return -1;
}

/** Decodes a legacy frame into exactly `size` bytes; undefined when it is damaged. */
export function decodeLz4Legacy(frame: Uint8Array, size: number): Uint8Array | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const target = new Uint8Array(size);
  let output = 0;
  let input = 4;
  while (input + 4 <= frame.length && output < size) {
    const compressed = view.getUint32(input, true);
    input += 4;
    if (compressed === LZ4_LEGACY_MAGIC) continue; // Frames may follow one another.
    if (compressed > frame.length - input) return undefined;
    const window = target.subarray(output, Math.min(size, output + LEGACY_BLOCK_BYTES));
    const end = decodeLz4Block(frame, input, input + compressed, window, 0);
    if (end < 0) return undefined;
    output += end;
    input += compressed;
  }
  return output === size && input === frame.length ? target : undefined;
}
