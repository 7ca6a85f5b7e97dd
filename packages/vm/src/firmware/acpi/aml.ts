/**
 * ACPI Machine Language, written (ACPI 6.4 chapter 20). A term is its encoded bytes; functions carry the names
 * of the ASL terms they encode.
 */
export type Aml = readonly number[];

const le = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

const ascii = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));

/** PkgLength of a body (20.2.4): the length counts its own 1 to 4 bytes. */
function packageLength(bodyBytes: number): number[] {
  if (bodyBytes + 1 < 0x40) return [bodyBytes + 1];
  for (const extra of [1, 2, 3]) {
    const total = bodyBytes + 1 + extra;
    if (total < 2 ** (4 + 8 * extra)) return [(extra << 6) | (total & 0xf), ...le(total >>> 4, extra)];
  }
  throw new RangeError('AML package over 256 MiB');
}

function packaged(opcode: readonly number[], ...parts: readonly Aml[]): Aml {
  const body = parts.flat();
  return [...opcode, ...packageLength(body.length), ...body];
}

/** A NameString such as `_SB_`, `\\_SB_.PWRB` or `COM1`; segments are padded to 4 characters. */
export function name(path: string): Aml {
  const root = path.startsWith('\\');
  const segments = path
    .slice(root ? 1 : 0)
    .split('.')
    .map((s) => ascii(s.padEnd(4, '_')));
  const prefix = root ? [0x5c] : [];
  if (segments.length === 1) return [...prefix, ...segments.flat()];
  if (segments.length === 2) return [...prefix, 0x2e, ...segments.flat()];
  return [...prefix, 0x2f, segments.length, ...segments.flat()];
}

export function integer(value: number): Aml {
  if (value === 0) return [0x00];
  if (value === 1) return [0x01];
  if (value < 0x100) return [0x0a, value];
  if (value < 0x10000) return [0x0b, ...le(value, 2)];
  if (value < 0x1_0000_0000) return [0x0c, ...le(value, 4)];
  return [0x0e, ...le(value, 8)];
}

export const string = (value: string): Aml => [0x0d, ...ascii(value), 0];

/** A seven-character plug-and-play id such as `PNP0501`, compressed to 32 bits (19.3.4). */
export function eisaId(id: string): Aml {
  const letter = (i: number): number => (id.charCodeAt(i) - 0x40) & 0x1f;
  const vendor = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const product = Number.parseInt(id.slice(3), 16);
  return [0x0c, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export const buffer = (bytes: Aml): Aml => packaged([0x11], integer(bytes.length), bytes);
export const aPackage = (...items: readonly Aml[]): Aml => packaged([0x12], [items.length], ...items);

export const define = (path: string, value: Aml): Aml => [0x08, ...name(path), ...value];
export const scope = (path: string, ...terms: readonly Aml[]): Aml => packaged([0x10], name(path), ...terms);
export const device = (path: string, ...terms: readonly Aml[]): Aml =>
  packaged([0x5b, 0x82], name(path), ...terms);

/** A serialized method is marked so because it may not be entered twice at once. */
export const method = (path: string, args: number, serialized: boolean, ...terms: readonly Aml[]): Aml =>
  packaged([0x14], name(path), [args | (serialized ? 8 : 0)], ...terms);

/** OperationRegion in I/O space with one Field of 8-bit units that covers its first byte. */
export const bytePort = (region: string, field: string, port: number): Aml => [
  0x5b,
  0x80,
  ...name(region),
  1,
  ...integer(port),
  ...integer(1),
  ...packaged([0x5b, 0x81], name(region), [1], name(field), [8]),
];

export const local0: Aml = [0x60];
export const store = (source: Aml, target: Aml): Aml => [0x70, ...source, ...target];
export const and = (a: Aml, b: Aml): Aml => [0x7b, ...a, ...b, 0];
export const when = (condition: Aml, ...terms: readonly Aml[]): Aml => packaged([0xa0], condition, ...terms);
export const notify = (path: string, value: number): Aml => [0x86, ...name(path), ...integer(value)];

// ---- resource descriptors (6.4) ----

export const memory32Fixed = (base: number, length: number): Aml => [
  0x86,
  9,
  0,
  1,
  ...le(base, 4),
  ...le(length, 4),
];

/** Extended Interrupt: consumer, edge, active high, exclusive. */
export const edgeInterrupt = (gsi: number): Aml => [0x89, 6, 0, 0x03, 1, ...le(gsi, 4)];

/** I/O ports, 16-bit decode. */
export const ioPorts = (base: number, length: number): Aml => [
  0x47,
  1,
  ...le(base, 2),
  ...le(base, 2),
  1,
  length,
];

/** ResourceTemplate with its end tag. */
export const resources = (...descriptors: readonly Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);
