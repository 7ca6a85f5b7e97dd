/** SSE, SSE2, SSE3 and SSE4.1 floating point: arithmetic, logic, comparison, shuffles, conversions. */
import { type Row, row } from '../row.ts';
import * as arith from '../sem/sse-arith.ts';
import * as convert from '../sem/sse-convert.ts';
import { BY_MXCSR, TRUNCATE } from '../sem/sse-convert.ts';
import * as int from '../sem/sse-int.ts';
import { F32, F64 } from '../sem/softfloat.ts';
import { type Lanes, packed } from '../sem/sse.ts';
import * as shuffle from '../sem/sse-shuffle.ts';

/** The four forms PS, PD, SS, SD of an arithmetic opcode. */
function four(name: arith.Operation, opcode: string): Row[] {
  const access = name === 'SQRT' ? 'w' : 'rw';
  const tail = `0F ${opcode} /r | feature=sse`;
  return [
    row(`${name}PS Vx:${access},Wx | NP ${tail}`, arith.packedArith(F32, name)),
    row(`${name}PD Vx:${access},Wx | 66 ${tail}2`, arith.packedArith(F64, name)),
    row(`${name}SS Vss:rw,Wss | F3 ${tail}`, arith.scalarArith(F32, name)),
    row(`${name}SD Vsd:rw,Wsd | F2 ${tail}2`, arith.scalarArith(F64, name)),
  ];
}
/** PS and PD forms of a bitwise or shuffling opcode. */
function two(name: string, opcode: string, single: Lanes, double: Lanes = single): Row[] {
  return [
    row(`${name}PS Vx:rw,Wx | NP 0F ${opcode} /r | feature=sse`, packed(single)),
    row(`${name}PD Vx:rw,Wx | 66 0F ${opcode} /r | feature=sse2`, packed(double)),
  ];
}

export const SSE_FP: readonly Row[] = [
  ...two('UNPCKL', '14', int.interleave(4, 'low'), int.interleave(8, 'low')),
  ...two('UNPCKH', '15', int.interleave(4, 'high'), int.interleave(8, 'high')),
  ...two('AND', '54', int.lanes('v128.and')),
  ...two('ANDN', '55', int.andNot),
  ...two('OR', '56', int.lanes('v128.or')),
  ...two('XOR', '57', int.lanes('v128.xor')),
  row('SHUFPS Vx:rw,Wx,Ib | NP 0F C6 /r | feature=sse', shuffle.shufps),
  row('SHUFPD Vx:rw,Wx,Ib | 66 0F C6 /r | feature=sse2', shuffle.shufpd),

  ...four('SQRT', '51'),
  ...four('ADD', '58'),
  ...four('MUL', '59'),
  ...four('SUB', '5C'),
  ...four('MIN', '5D'),
  ...four('DIV', '5E'),
  ...four('MAX', '5F'),
  row('RSQRTPS Vx:w,Wx | NP 0F 52 /r | feature=sse', arith.approximatePacked('rsqrt')),
  row('RSQRTSS Vss:rw,Wss | F3 0F 52 /r | feature=sse', arith.approximateScalar('rsqrt')),
  row('RCPPS Vx:w,Wx | NP 0F 53 /r | feature=sse', arith.approximatePacked('rcp')),
  row('RCPSS Vss:rw,Wss | F3 0F 53 /r | feature=sse', arith.approximateScalar('rcp')),
  row('HADDPD Vx:rw,Wx | 66 0F 7C /r | feature=sse3', arith.horizontalArith(F64, 'ADD')),
  row('HADDPS Vx:rw,Wx | F2 0F 7C /r | feature=sse3', arith.horizontalArith(F32, 'ADD')),
  row('HSUBPD Vx:rw,Wx | 66 0F 7D /r | feature=sse3', arith.horizontalArith(F64, 'SUB')),
  row('HSUBPS Vx:rw,Wx | F2 0F 7D /r | feature=sse3', arith.horizontalArith(F32, 'SUB')),
  row('ADDSUBPD Vx:rw,Wx | 66 0F D0 /r | feature=sse3', arith.addSub(F64)),
  row('ADDSUBPS Vx:rw,Wx | F2 0F D0 /r | feature=sse3', arith.addSub(F32)),
  row('ROUNDPS Vx:w,Wx,Ib | 66 0F 3A 08 /r | feature=sse4_1', arith.roundPacked(F32)),
  row('ROUNDPD Vx:w,Wx,Ib | 66 0F 3A 09 /r | feature=sse4_1', arith.roundPacked(F64)),
  row('ROUNDSS Vss:rw,Wss,Ib | 66 0F 3A 0A /r | feature=sse4_1', arith.roundScalar(F32)),
  row('ROUNDSD Vsd:rw,Wsd,Ib | 66 0F 3A 0B /r | feature=sse4_1', arith.roundScalar(F64)),
  row('DPPS Vx:rw,Wx,Ib | 66 0F 3A 40 /r | feature=sse4_1', arith.dot(F32)),
  row('DPPD Vx:rw,Wx,Ib | 66 0F 3A 41 /r | feature=sse4_1', arith.dot(F64)),

  row('UCOMISS Vss,Wss | NP 0F 2E /r | feature=sse w=oszapc', arith.compareFlags(F32, 0)),
  row('UCOMISD Vsd,Wsd | 66 0F 2E /r | feature=sse2 w=oszapc', arith.compareFlags(F64, 0)),
  row('COMISS Vss,Wss | NP 0F 2F /r | feature=sse w=oszapc', arith.compareFlags(F32, 1)),
  row('COMISD Vsd,Wsd | 66 0F 2F /r | feature=sse2 w=oszapc', arith.compareFlags(F64, 1)),
  row('CMPPS Vx:rw,Wx,Ib | NP 0F C2 /r | feature=sse', arith.comparePacked(F32)),
  row('CMPPD Vx:rw,Wx,Ib | 66 0F C2 /r | feature=sse2', arith.comparePacked(F64)),
  row('CMPSS Vss:rw,Wss,Ib | F3 0F C2 /r | feature=sse', arith.compareScalar(F32)),
  row('CMPSD Vsd:rw,Wsd,Ib | F2 0F C2 /r | feature=sse2', arith.compareScalar(F64)),

  row('CVTPI2PS Vq:rw,Qq | NP 0F 2A /r | feature=sse', convert.fromMmx),
  row('CVTPI2PD Vx:w,Qq | 66 0F 2A /r | feature=sse2', convert.fromMmxToDouble),
  row('CVTSI2SS Vss:rw,Ey | F3 0F 2A /r | feature=sse', convert.fromInteger(F32)),
  row('CVTSI2SD Vsd:rw,Ey | F2 0F 2A /r | feature=sse2', convert.fromInteger(F64)),
  row('CVTTPS2PI Pq:w,Wq | NP 0F 2C /r | feature=sse', convert.toMmx(F32, TRUNCATE)),
  row('CVTTPD2PI Pq:w,Wx | 66 0F 2C /r | feature=sse2', convert.toMmx(F64, TRUNCATE)),
  row('CVTTSS2SI Gy:w,Wss | F3 0F 2C /r | feature=sse', convert.toInteger(F32, TRUNCATE)),
  row('CVTTSD2SI Gy:w,Wsd | F2 0F 2C /r | feature=sse2', convert.toInteger(F64, TRUNCATE)),
  row('CVTPS2PI Pq:w,Wq | NP 0F 2D /r | feature=sse', convert.toMmx(F32, BY_MXCSR)),
  row('CVTPD2PI Pq:w,Wx | 66 0F 2D /r | feature=sse2', convert.toMmx(F64, BY_MXCSR)),
  row('CVTSS2SI Gy:w,Wss | F3 0F 2D /r | feature=sse', convert.toInteger(F32, BY_MXCSR)),
  row('CVTSD2SI Gy:w,Wsd | F2 0F 2D /r | feature=sse2', convert.toInteger(F64, BY_MXCSR)),
  row('CVTPS2PD Vx:w,Wq | NP 0F 5A /r | feature=sse2', convert.widenPacked),
  row('CVTPD2PS Vx:w,Wx | 66 0F 5A /r | feature=sse2', convert.narrowPacked),
  row('CVTSS2SD Vsd:rw,Wss | F3 0F 5A /r | feature=sse2', convert.widenScalar),
  row('CVTSD2SS Vss:rw,Wsd | F2 0F 5A /r | feature=sse2', convert.narrowScalar),
  row('CVTDQ2PS Vx:w,Wx | NP 0F 5B /r | feature=sse2', convert.fromDwords),
  row('CVTPS2DQ Vx:w,Wx | 66 0F 5B /r | feature=sse2', convert.toDwords(F32, BY_MXCSR)),
  row('CVTTPS2DQ Vx:w,Wx | F3 0F 5B /r | feature=sse2', convert.toDwords(F32, TRUNCATE)),
  row('CVTTPD2DQ Vx:w,Wx | 66 0F E6 /r | feature=sse2', convert.toDwords(F64, TRUNCATE)),
  row('CVTDQ2PD Vx:w,Wq | F3 0F E6 /r | feature=sse2', convert.fromDwordsToDouble),
  row('CVTPD2DQ Vx:w,Wx | F2 0F E6 /r | feature=sse2', convert.toDwords(F64, BY_MXCSR)),
];
