/** Packed integer instructions of MMX, SSE, SSE2 and SSSE3: one operation on mm and on xmm registers. */
import { type Row, row, type Semantics } from '../row.ts';
import * as int from '../sem/sse-int.ts';
import { type Lanes, packed, packedUnary } from '../sem/sse.ts';
import * as shuffle from '../sem/sse-shuffle.ts';

/** The mm form (no prefix) and the xmm form (66) of an opcode. */
function both(name: string, opcode: string, lanes: Lanes, mm = 'mmx', xmm = 'sse2'): Row[] {
  const semantics = packed(lanes);
  return [
    row(`${name} Pq:rw,Qq | NP ${opcode} /r | feature=${mm}`, semantics),
    row(`${name} Vx:rw,Wx | 66 ${opcode} /r | feature=${xmm}`, semantics),
  ];
}
function lanewise(name: string, opcode: string, op: string, mm = 'mmx', xmm = 'sse2'): Row[] {
  return both(name, `0F ${opcode}`, int.lanes(op), mm, xmm);
}
function unpackLow(name: string, opcode: string, bytes: 1 | 2 | 4): Row[] {
  const semantics = packed(int.interleave(bytes, 'low'));
  return [
    row(`${name} Pq:rw,Qd | NP 0F ${opcode} /r | feature=mmx`, semantics),
    row(`${name} Vx:rw,Wx | 66 0F ${opcode} /r | feature=sse2`, semantics),
  ];
}
/** Shift by register or memory, and by immediate (group 12–14). */
function shifts(name: string, opcode: string, group: string, semantics: Semantics): Row[] {
  return [
    row(`${name} Pq:rw,Qq | NP 0F ${opcode} /r | feature=mmx`, semantics),
    row(`${name} Vx:rw,Wx | 66 0F ${opcode} /r | feature=sse2`, semantics),
    row(`${name} Nq:rw,Ib | NP 0F ${group}r | feature=mmx`, semantics),
    row(`${name} Ux:rw,Ib | 66 0F ${group}r | feature=sse2`, semantics),
  ];
}
function absolute(name: string, opcode: string, op: string): Row[] {
  const semantics = packedUnary(int.widen(op));
  return [
    row(`${name} Pq:w,Qq | NP 0F 38 ${opcode} /r | feature=ssse3`, semantics),
    row(`${name} Vx:w,Wx | 66 0F 38 ${opcode} /r | feature=ssse3`, semantics),
  ];
}
function ssse3(name: string, opcode: string, lanes: Lanes): Row[] {
  return both(name, `0F 38 ${opcode}`, lanes, 'ssse3', 'ssse3');
}

export const SSE_INT: readonly Row[] = [
  ...unpackLow('PUNPCKLBW', '60', 1),
  ...unpackLow('PUNPCKLWD', '61', 2),
  ...unpackLow('PUNPCKLDQ', '62', 4),
  ...both('PACKSSWB', '0F 63', int.pack('i8x16.narrow_i16x8_s')),
  ...lanewise('PCMPGTB', '64', 'i8x16.gt_s'),
  ...lanewise('PCMPGTW', '65', 'i16x8.gt_s'),
  ...lanewise('PCMPGTD', '66', 'i32x4.gt_s'),
  ...both('PACKUSWB', '0F 67', int.pack('i8x16.narrow_i16x8_u')),
  ...both('PUNPCKHBW', '0F 68', int.interleave(1, 'high')),
  ...both('PUNPCKHWD', '0F 69', int.interleave(2, 'high')),
  ...both('PUNPCKHDQ', '0F 6A', int.interleave(4, 'high')),
  ...both('PACKSSDW', '0F 6B', int.pack('i16x8.narrow_i32x4_s')),
  row('PUNPCKLQDQ Vx:rw,Wx | 66 0F 6C /r | feature=sse2', packed(int.interleave(8, 'low'))),
  row('PUNPCKHQDQ Vx:rw,Wx | 66 0F 6D /r | feature=sse2', packed(int.interleave(8, 'high'))),
  row('PSHUFW Pq:w,Qq,Ib | NP 0F 70 /r | feature=sse', shuffle.pshufw),
  row('PSHUFD Vx:w,Wx,Ib | 66 0F 70 /r | feature=sse2', shuffle.pshufd),
  row('PSHUFHW Vx:w,Wx,Ib | F3 0F 70 /r | feature=sse2', shuffle.shuffleWords('high')),
  row('PSHUFLW Vx:w,Wx,Ib | F2 0F 70 /r | feature=sse2', shuffle.shuffleWords('low')),
  ...lanewise('PCMPEQB', '74', 'i8x16.eq'),
  ...lanewise('PCMPEQW', '75', 'i16x8.eq'),
  ...lanewise('PCMPEQD', '76', 'i32x4.eq'),

  ...shifts('PSRLW', 'D1', '71 /2', int.shift('shr_u', 2)),
  ...shifts('PSRAW', 'E1', '71 /4', int.shift('shr_s', 2)),
  ...shifts('PSLLW', 'F1', '71 /6', int.shift('shl', 2)),
  ...shifts('PSRLD', 'D2', '72 /2', int.shift('shr_u', 4)),
  ...shifts('PSRAD', 'E2', '72 /4', int.shift('shr_s', 4)),
  ...shifts('PSLLD', 'F2', '72 /6', int.shift('shl', 4)),
  ...shifts('PSRLQ', 'D3', '73 /2', int.shift('shr_u', 8)),
  ...shifts('PSLLQ', 'F3', '73 /6', int.shift('shl', 8)),
  row('PSRLDQ Ux:rw,Ib | 66 0F 73 /3r | feature=sse2', int.shiftBytes('right')),
  row('PSLLDQ Ux:rw,Ib | 66 0F 73 /7r | feature=sse2', int.shiftBytes('left')),

  row('PINSRW Pq:rw,Mw,Ib | NP 0F C4 /rm | feature=sse', shuffle.insert(2)),
  row('PINSRW Pq:rw,Rd,Ib | NP 0F C4 /rr | feature=sse', shuffle.insert(2)),
  row('PINSRW Vx:rw,Mw,Ib | 66 0F C4 /rm | feature=sse2', shuffle.insert(2)),
  row('PINSRW Vx:rw,Rd,Ib | 66 0F C4 /rr | feature=sse2', shuffle.insert(2)),
  row('PEXTRW Gd:w,Nq,Ib | NP 0F C5 /rr | feature=sse', shuffle.extract(2)),
  row('PEXTRW Gd:w,Ux,Ib | 66 0F C5 /rr | feature=sse2', shuffle.extract(2)),

  ...lanewise('PADDQ', 'D4', 'i64x2.add', 'sse2'),
  ...lanewise('PMULLW', 'D5', 'i16x8.mul'),
  ...lanewise('PSUBUSB', 'D8', 'i8x16.sub_sat_u'),
  ...lanewise('PSUBUSW', 'D9', 'i16x8.sub_sat_u'),
  ...lanewise('PMINUB', 'DA', 'i8x16.min_u', 'sse'),
  ...lanewise('PAND', 'DB', 'v128.and'),
  ...lanewise('PADDUSB', 'DC', 'i8x16.add_sat_u'),
  ...lanewise('PADDUSW', 'DD', 'i16x8.add_sat_u'),
  ...lanewise('PMAXUB', 'DE', 'i8x16.max_u', 'sse'),
  ...both('PANDN', '0F DF', int.andNot),
  ...lanewise('PAVGB', 'E0', 'i8x16.avgr_u', 'sse'),
  ...lanewise('PAVGW', 'E3', 'i16x8.avgr_u', 'sse'),
  ...both('PMULHUW', '0F E4', int.multiplyHigh('u'), 'sse'),
  ...both('PMULHW', '0F E5', int.multiplyHigh('s')),
  ...lanewise('PSUBSB', 'E8', 'i8x16.sub_sat_s'),
  ...lanewise('PSUBSW', 'E9', 'i16x8.sub_sat_s'),
  ...lanewise('PMINSW', 'EA', 'i16x8.min_s', 'sse'),
  ...lanewise('POR', 'EB', 'v128.or'),
  ...lanewise('PADDSB', 'EC', 'i8x16.add_sat_s'),
  ...lanewise('PADDSW', 'ED', 'i16x8.add_sat_s'),
  ...lanewise('PMAXSW', 'EE', 'i16x8.max_s', 'sse'),
  ...lanewise('PXOR', 'EF', 'v128.xor'),
  ...both('PMULUDQ', '0F F4', int.multiplyEven('u'), 'sse2'),
  ...lanewise('PMADDWD', 'F5', 'i32x4.dot_i16x8_s'),
  ...both('PSADBW', '0F F6', int.sumOfDifferences, 'sse'),
  ...lanewise('PSUBB', 'F8', 'i8x16.sub'),
  ...lanewise('PSUBW', 'F9', 'i16x8.sub'),
  ...lanewise('PSUBD', 'FA', 'i32x4.sub'),
  ...lanewise('PSUBQ', 'FB', 'i64x2.sub', 'sse2'),
  ...lanewise('PADDB', 'FC', 'i8x16.add'),
  ...lanewise('PADDW', 'FD', 'i16x8.add'),
  ...lanewise('PADDD', 'FE', 'i32x4.add'),

  ...ssse3('PSHUFB', '00', shuffle.pshufb),
  ...ssse3('PHADDW', '01', int.horizontal('i16x8.add', 2)),
  ...ssse3('PHADDD', '02', int.horizontal('i32x4.add', 4)),
  ...ssse3('PHADDSW', '03', int.horizontal('i16x8.add_sat_s', 2)),
  ...ssse3('PMADDUBSW', '04', int.multiplyAddBytes),
  ...ssse3('PHSUBW', '05', int.horizontal('i16x8.sub', 2)),
  ...ssse3('PHSUBD', '06', int.horizontal('i32x4.sub', 4)),
  ...ssse3('PHSUBSW', '07', int.horizontal('i16x8.sub_sat_s', 2)),
  ...ssse3('PSIGNB', '08', int.applySign(1)),
  ...ssse3('PSIGNW', '09', int.applySign(2)),
  ...ssse3('PSIGND', '0A', int.applySign(4)),
  ...ssse3('PMULHRSW', '0B', int.multiplyRounded),
  ...absolute('PABSB', '1C', 'i8x16.abs'),
  ...absolute('PABSW', '1D', 'i16x8.abs'),
  ...absolute('PABSD', '1E', 'i32x4.abs'),
  row('PALIGNR Pq:rw,Qq,Ib | NP 0F 3A 0F /r | feature=ssse3', shuffle.palignr),
  row('PALIGNR Vx:rw,Wx,Ib | 66 0F 3A 0F /r | feature=ssse3', shuffle.palignr),
];
