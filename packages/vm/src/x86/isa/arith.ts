/** Rows: integer arithmetic, logic, shifts and bits (SDM volume 2, chapters 3–4; opcode map, appendix A). */
import { type Row, row, type Semantics } from '../row.ts';
import * as A from '../sem/arith.ts';
import * as H from '../sem/shift.ts';

function hex(n: number): string {
  return n.toString(16).toUpperCase().padStart(2, '0');
}

/** The eight classic two-operand operations: same six encodings each, and three immediate groups. */
function binary(name: string, number: number, semantics: Semantics, flags: string): Row[] {
  const op = number * 8;
  const to = name === 'CMP' ? '' : ':rw';
  const lock = name === 'CMP' ? '' : 'lock ';
  return [
    row(`${name} Eb${to},Gb | ${hex(op)} /r | ${lock}${flags}`, semantics),
    row(`${name} Ev${to},Gv | ${hex(op + 1)} /r | ${lock}${flags}`, semantics),
    row(`${name} Gb${to},Eb | ${hex(op + 2)} /r | ${flags}`, semantics),
    row(`${name} Gv${to},Ev | ${hex(op + 3)} /r | ${flags}`, semantics),
    row(`${name} AL${to},Ib | ${hex(op + 4)} | ${flags}`, semantics),
    row(`${name} rAX${to},Iz | ${hex(op + 5)} | ${flags}`, semantics),
    row(`${name} Eb${to},Ib | 80 /${number} | ${lock}${flags}`, semantics),
    row(`${name} Ev${to},Iz | 81 /${number} | ${lock}${flags}`, semantics),
    row(`${name} Eb${to},Ib | 82 /${number} | i64 ${lock}${flags}`, semantics),
    row(`${name} Ev${to},Ibs | 83 /${number} | ${lock}${flags}`, semantics),
  ];
}

function shift(name: string, number: number, semantics: Semantics, flags: string): Row[] {
  return [
    row(`${name} Eb:rw,Ib | C0 /${number} | ${flags}`, semantics),
    row(`${name} Ev:rw,Ib | C1 /${number} | ${flags}`, semantics),
    row(`${name} Eb:rw,1 | D0 /${number} | ${flags}`, semantics),
    row(`${name} Ev:rw,1 | D1 /${number} | ${flags}`, semantics),
    row(`${name} Eb:rw,CL | D2 /${number} | ${flags}`, semantics),
    row(`${name} Ev:rw,CL | D3 /${number} | ${flags}`, semantics),
  ];
}

function bits(name: string, number: number, change: 'test' | 'set' | 'reset' | 'complement'): Row[] {
  const opcode = 0xa3 + (number - 4) * 8;
  const to = change === 'test' ? '' : ':rw';
  const attributes = `${change === 'test' ? '' : 'lock '}w=c u=oszap`;
  return [
    row(`${name} Ev${to},Gv | 0F ${hex(opcode)} /r | ${attributes}`, H.bitOperation(change)),
    row(`${name} Ev${to},Ib | 0F BA /${number} | ${attributes}`, H.bitOperation(change)),
  ];
}

const ALL = 'w=oszapc';
const LOGIC = 'w=oszpc u=a';

export const ARITH: readonly Row[] = [
  ...binary('ADD', 0, A.add, ALL),
  ...binary('OR', 1, A.or, LOGIC),
  ...binary('ADC', 2, A.adc, `r=c ${ALL}`),
  ...binary('SBB', 3, A.sbb, `r=c ${ALL}`),
  ...binary('AND', 4, A.and, LOGIC),
  ...binary('SUB', 5, A.sub, ALL),
  ...binary('XOR', 6, A.xor, LOGIC),
  ...binary('CMP', 7, A.cmp, ALL),
  row(`TEST Eb,Gb | 84 /r | ${LOGIC}`, A.test),
  row(`TEST Ev,Gv | 85 /r | ${LOGIC}`, A.test),
  row(`TEST AL,Ib | A8 | ${LOGIC}`, A.test),
  row(`TEST rAX,Iz | A9 | ${LOGIC}`, A.test),
  row(`TEST Eb,Ib | F6 /0 | ${LOGIC}`, A.test),
  row(`TEST Ev,Iz | F7 /0 | ${LOGIC}`, A.test),
  row(`TEST Eb,Ib | F6 /1 | ${LOGIC}`, A.test),
  row(`TEST Ev,Iz | F7 /1 | ${LOGIC}`, A.test),
  row('NOT Eb:rw | F6 /2 | lock', A.not),
  row('NOT Ev:rw | F7 /2 | lock', A.not),
  row(`NEG Eb:rw | F6 /3 | lock ${ALL}`, A.neg),
  row(`NEG Ev:rw | F7 /3 | lock ${ALL}`, A.neg),
  row('MUL Eb | F6 /4 | w=oc u=szap', A.mul),
  row('MUL Ev | F7 /4 | w=oc u=szap', A.mul),
  row('IMUL Eb | F6 /5 | w=oc u=szap', A.imul1),
  row('IMUL Ev | F7 /5 | w=oc u=szap', A.imul1),
  row('DIV Eb | F6 /6 | u=oszapc', A.div),
  row('DIV Ev | F7 /6 | u=oszapc', A.div),
  row('IDIV Eb | F6 /7 | u=oszapc', A.idiv),
  row('IDIV Ev | F7 /7 | u=oszapc', A.idiv),
  row('IMUL Gv:rw,Ev | 0F AF /r | w=oc u=szap', A.imul),
  row('IMUL Gv:w,Ev,Iz | 69 /r | w=oc u=szap', A.imul),
  row('IMUL Gv:w,Ev,Ibs | 6B /r | w=oc u=szap', A.imul),
  row('INC Eb:rw | FE /0 | lock w=oszap', A.inc),
  row('INC Ev:rw | FF /0 | lock w=oszap', A.inc),
  row('DEC Eb:rw | FE /1 | lock w=oszap', A.dec),
  row('DEC Ev:rw | FF /1 | lock w=oszap', A.dec),
  row('INC Zv:rw | 40 +r | i64 w=oszap', A.inc),
  row('DEC Zv:rw | 48 +r | i64 w=oszap', A.dec),

  ...shift('ROL', 0, H.rol, 'w=oc'),
  ...shift('ROR', 1, H.ror, 'w=oc'),
  ...shift('RCL', 2, H.rcl, 'r=c w=oc'),
  ...shift('RCR', 3, H.rcr, 'r=c w=oc'),
  ...shift('SHL', 4, H.shl, 'w=oszpc u=a'),
  ...shift('SHR', 5, H.shr, 'w=oszpc u=a'),
  ...shift('SHL', 6, H.shl, 'w=oszpc u=a'),
  ...shift('SAR', 7, H.sar, 'w=oszpc u=a'),
  row('SHLD Ev:rw,Gv,Ib | 0F A4 /r | w=oszpc u=a', H.shld),
  row('SHLD Ev:rw,Gv,CL | 0F A5 /r | w=oszpc u=a', H.shld),
  row('SHRD Ev:rw,Gv,Ib | 0F AC /r | w=oszpc u=a', H.shrd),
  row('SHRD Ev:rw,Gv,CL | 0F AD /r | w=oszpc u=a', H.shrd),
  ...bits('BT', 4, 'test'),
  ...bits('BTS', 5, 'set'),
  ...bits('BTR', 6, 'reset'),
  ...bits('BTC', 7, 'complement'),
  row('BSF Gv:rw,Ev | 0F BC /r | w=z u=osapc', H.bitScan('forward')),
  row('BSR Gv:rw,Ev | 0F BD /r | w=z u=osapc', H.bitScan('reverse')),
  row('POPCNT Gv:w,Ev | F3 0F B8 /r | feature=popcnt w=oszapc', H.popcnt),

  row('DAA | 27 | i64 r=ac w=szapc u=o', A.decimalAdjust('add')),
  row('DAS | 2F | i64 r=ac w=szapc u=o', A.decimalAdjust('sub')),
  row('AAA | 37 | i64 r=a w=ac u=oszp', A.asciiAdjust('add')),
  row('AAS | 3F | i64 r=a w=ac u=oszp', A.asciiAdjust('sub')),
  row('AAM Ib | D4 | i64 w=szp u=oac', A.aam),
  row('AAD Ib | D5 | i64 w=szp u=oac', A.aad),
  row('SALC | D6 | i64 r=c', A.salc),

  row('CLC | F8 | w=c', A.clc),
  row('STC | F9 | w=c', A.stc),
  row('CMC | F5 | r=c w=c', A.cmc),
  row('CLD | FC | w=d', A.cld),
  row('STD | FD | w=d', A.std),
  row('LAHF | 9F | r=szapc', A.lahf),
  row('SAHF | 9E | w=szapc', A.sahf),
];
