/** Packed integer instructions of SSE4.1 and SSE4.2, string comparison and CRC32. */
import { type Row, row } from '../row.ts';
import * as int from '../sem/sse-int.ts';
import { packed, packedUnary } from '../sem/sse.ts';
import * as shuffle from '../sem/sse-shuffle.ts';
import { crc32, pcmpstr } from '../sem/sse-string.ts';

function lanewise(name: string, opcode: string, op: string, feature = 'sse4_1'): Row {
  return row(`${name} Vx:rw,Wx | 66 0F 38 ${opcode} /r | feature=${feature}`, packed(int.lanes(op)));
}
/** PMOVSX and PMOVZX: `size` = letter of the source, `steps` = widths it passes through. */
function widen(name: string, low: number, size: string, ...steps: readonly string[]): Row[] {
  return (['s', 'u'] as const).map((sign, i) => {
    const opcode = (low + i * 0x10).toString(16).toUpperCase();
    const ops = steps.map((step) => `${step}_${sign}`);
    const full = name.replace('?', sign === 's' ? 'S' : 'Z');
    return row(
      `${full} Vx:w,W${size} | 66 0F 38 ${opcode} /r | feature=sse4_1`,
      packedUnary(int.widen(...ops)),
    );
  });
}
const BYTES = 'i16x8.extend_low_i8x16';
const WORDS = 'i32x4.extend_low_i16x8';
const DWORDS = 'i64x2.extend_low_i32x4';

export const SSE4: readonly Row[] = [
  row('PBLENDVB Vx:rw,Wx,XMM0 | 66 0F 38 10 /r | feature=sse4_1', int.blendVariable(1)),
  row('BLENDVPS Vx:rw,Wx,XMM0 | 66 0F 38 14 /r | feature=sse4_1', int.blendVariable(4)),
  row('BLENDVPD Vx:rw,Wx,XMM0 | 66 0F 38 15 /r | feature=sse4_1', int.blendVariable(8)),
  row('PTEST Vx,Wx | 66 0F 38 17 /r | feature=sse4_1 w=oszapc', int.ptest),
  ...widen('PMOV?XBW', 0x20, 'q', BYTES),
  ...widen('PMOV?XBD', 0x21, 'd', BYTES, WORDS),
  ...widen('PMOV?XBQ', 0x22, 'w', BYTES, WORDS, DWORDS),
  ...widen('PMOV?XWD', 0x23, 'q', WORDS),
  ...widen('PMOV?XWQ', 0x24, 'd', WORDS, DWORDS),
  ...widen('PMOV?XDQ', 0x25, 'q', DWORDS),
  row('PMULDQ Vx:rw,Wx | 66 0F 38 28 /r | feature=sse4_1', packed(int.multiplyEven('s'))),
  lanewise('PCMPEQQ', '29', 'i64x2.eq'),
  row('PACKUSDW Vx:rw,Wx | 66 0F 38 2B /r | feature=sse4_1', packed(int.pack('i16x8.narrow_i32x4_u'))),
  lanewise('PCMPGTQ', '37', 'i64x2.gt_s', 'sse4_2'),
  lanewise('PMINSB', '38', 'i8x16.min_s'),
  lanewise('PMINSD', '39', 'i32x4.min_s'),
  lanewise('PMINUW', '3A', 'i16x8.min_u'),
  lanewise('PMINUD', '3B', 'i32x4.min_u'),
  lanewise('PMAXSB', '3C', 'i8x16.max_s'),
  lanewise('PMAXSD', '3D', 'i32x4.max_s'),
  lanewise('PMAXUW', '3E', 'i16x8.max_u'),
  lanewise('PMAXUD', '3F', 'i32x4.max_u'),
  lanewise('PMULLD', '40', 'i32x4.mul'),
  row('PHMINPOSUW Vx:w,Wx | 66 0F 38 41 /r | feature=sse4_1', packedUnary(int.minimumPosition)),

  row('BLENDPS Vx:rw,Wx,Ib | 66 0F 3A 0C /r | feature=sse4_1', shuffle.blendImmediate(4)),
  row('BLENDPD Vx:rw,Wx,Ib | 66 0F 3A 0D /r | feature=sse4_1', shuffle.blendImmediate(8)),
  row('PBLENDW Vx:rw,Wx,Ib | 66 0F 3A 0E /r | feature=sse4_1', shuffle.blendImmediate(2)),
  row('PEXTRB Mb:w,Vx,Ib | 66 0F 3A 14 /rm | feature=sse4_1', shuffle.extract(1)),
  row('PEXTRB Rd:w,Vx,Ib | 66 0F 3A 14 /rr | feature=sse4_1', shuffle.extract(1)),
  row('PEXTRW Mw:w,Vx,Ib | 66 0F 3A 15 /rm | feature=sse4_1', shuffle.extract(2)),
  row('PEXTRW Rd:w,Vx,Ib | 66 0F 3A 15 /rr | feature=sse4_1', shuffle.extract(2)),
  row('PEXTRD Ed:w,Vx,Ib | 66 0F 3A 16 /r | w0 feature=sse4_1', shuffle.extract(4)),
  row('PEXTRQ Eq:w,Vx,Ib | 66 0F 3A 16 /r | w1 feature=sse4_1', shuffle.extract(8)),
  row('EXTRACTPS Ed:w,Vx,Ib | 66 0F 3A 17 /r | feature=sse4_1', shuffle.extract(4)),
  row('PINSRB Vx:rw,Mb,Ib | 66 0F 3A 20 /rm | feature=sse4_1', shuffle.insert(1)),
  row('PINSRB Vx:rw,Rd,Ib | 66 0F 3A 20 /rr | feature=sse4_1', shuffle.insert(1)),
  row('INSERTPS Vx:rw,Wss,Ib | 66 0F 3A 21 /r | feature=sse4_1', shuffle.insertps),
  row('PINSRD Vx:rw,Ed,Ib | 66 0F 3A 22 /r | w0 feature=sse4_1', shuffle.insert(4)),
  row('PINSRQ Vx:rw,Eq,Ib | 66 0F 3A 22 /r | w1 feature=sse4_1', shuffle.insert(8)),
  row('MPSADBW Vx:rw,Wx,Ib | 66 0F 3A 42 /r | feature=sse4_1', int.slidingDifferences),

  row(
    'PCMPESTRM Vx,Wx,Ib | 66 0F 3A 60 /r | size=y unaligned feature=sse4_2 w=oszapc',
    pcmpstr('explicit', 'mask'),
  ),
  row(
    'PCMPESTRI Vx,Wx,Ib | 66 0F 3A 61 /r | size=y unaligned feature=sse4_2 w=oszapc',
    pcmpstr('explicit', 'index'),
  ),
  row('PCMPISTRM Vx,Wx,Ib | 66 0F 3A 62 /r | unaligned feature=sse4_2 w=oszapc', pcmpstr('implicit', 'mask')),
  row(
    'PCMPISTRI Vx,Wx,Ib | 66 0F 3A 63 /r | unaligned feature=sse4_2 w=oszapc',
    pcmpstr('implicit', 'index'),
  ),
  row('CRC32 Gd:rw,Eb | F2 0F 38 F0 /r | feature=sse4_2', crc32),
  row('CRC32 Gd:rw,Ev | F2 0F 38 F1 /r | feature=sse4_2', crc32),
];
