/** Rows: data movement, stack, control transfer and strings. */
import { type Row, row } from '../row.ts';
import * as C from '../sem/control.ts';
import * as M from '../sem/move.ts';
import * as T from '../sem/string.ts';

const CONDITIONS = 'O NO B NB Z NZ BE NBE S NS P NP L NL LE NLE'.split(' ');
/** Flags each condition reads. */
const CONDITION_FLAGS = ['o', 'c', 'z', 'cz', 's', 'p', 'os', 'osz'];

function hex(n: number): string {
  return n.toString(16).toUpperCase().padStart(2, '0');
}

export const MOVE: readonly Row[] = [
  row('MOV Eb:w,Gb | 88 /r', M.mov),
  row('MOV Ev:w,Gv | 89 /r', M.mov),
  row('MOV Gb:w,Eb | 8A /r', M.mov),
  row('MOV Gv:w,Ev | 8B /r', M.mov),
  row('MOV AL:w,Ob | A0', M.mov),
  row('MOV rAX:w,Ov | A1', M.mov),
  row('MOV Ob:w,AL | A2', M.mov),
  row('MOV Ov:w,rAX | A3', M.mov),
  row('MOV Zb:w,Ib | B0 +r', M.mov),
  row('MOV Zv:w,Iv | B8 +r', M.mov),
  row('MOV Eb:w,Ib | C6 /0', M.mov),
  row('MOV Ev:w,Iz | C7 /0', M.mov),
  row('MOVZX Gv:w,Eb | 0F B6 /r', M.mov),
  row('MOVZX Gv:w,Ew | 0F B7 /r', M.mov),
  row('MOVSX Gv:w,Eb | 0F BE /r', M.movsx),
  row('MOVSX Gv:w,Ew | 0F BF /r', M.movsx),
  row('MOVSXD Gv:w,Ez | 63 /r | o64', M.movsx),
  row('MOVBE Gv:w,Mv | NFx 0F 38 F0 /r | feature=movbe', M.movbe),
  row('MOVBE Mv:w,Gv | NFx 0F 38 F1 /r | feature=movbe', M.movbe),
  row('LEA Gv:w,M | 8D /r | lea', M.lea),
  row('XCHG Eb:rw,Gb:rw | 86 /r | lock', M.xchg),
  row('XCHG Ev:rw,Gv:rw | 87 /r | lock', M.xchg),
  row('XCHG Zv:rw,rAX:rw | 90 +r', M.xchg),
  row('BSWAP Zv:rw | 0F C8 +r', M.bswap),
  row('XLAT | D7 | cold', M.xlat),
  row('CBW | 98 | size=v', M.cbw),
  row('CWD | 99 | size=v', M.cwd),
  row('XADD Eb:rw,Gb:rw | 0F C0 /r | lock w=oszapc', M.xadd),
  row('XADD Ev:rw,Gv:rw | 0F C1 /r | lock w=oszapc', M.xadd),
  row('CMPXCHG Eb:rw,Gb | 0F B0 /r | lock w=oszapc', M.cmpxchg),
  row('CMPXCHG Ev:rw,Gv | 0F B1 /r | lock w=oszapc', M.cmpxchg),
  row('CMPXCHG8B Mq:rw | 0F C7 /1m | w0 lock w=z', M.cmpxchg2(4)),
  row('CMPXCHG16B Mdq:rw | 0F C7 /1m | w1 lock unaligned w=z feature=cx16', M.cmpxchg2(8)),

  row('PUSH Zv | 50 +r | d64', M.push),
  row('POP Zv:w | 58 +r | d64', M.pop),
  row('PUSH Iz | 68 | d64', M.push),
  row('PUSH Ibs | 6A | d64 size=v', M.push),
  row('PUSH Ev | FF /6 | d64', M.push),
  row('POP Ev:w | 8F /0 | d64 popea', M.pop),
  row('PUSHA | 60 | i64 size=v', M.pusha),
  row('POPA | 61 | i64 size=v', M.popa),
  row('ENTER Iw,Ib | C8 | d64 size=v', M.enter),
  row('LEAVE | C9 | d64 size=v', M.leave),
  row('BOUND Gv,M | 62 /rm | i64', M.bound),

  row('CALL Jz | E8 | f64 end', C.call),
  row('CALL Ev | FF /2 | f64 end', C.call),
  row('JMP Jz | E9 | f64 end', C.jmp),
  row('JMP Jb | EB | f64 end', C.jmp),
  row('JMP Ev | FF /4 | f64 end', C.jmp),
  row('RET | C3 | f64 size=v end', C.ret),
  row('RET Iw | C2 | f64 size=v end', C.ret),
  row('JCXZ Jb | E3 | f64 end', C.jcxz),
  row('LOOPNE Jb | E0 | f64 end r=z', C.loop('notEqual')),
  row('LOOPE Jb | E1 | f64 end r=z', C.loop('equal')),
  row('LOOP Jb | E2 | f64 end', C.loop('always')),
  ...CONDITIONS.flatMap((name, cc) => {
    const reads = `r=${CONDITION_FLAGS[cc >> 1]}`;
    return [
      row(`J${name} Jb | ${hex(0x70 + cc)} | f64 end ${reads}`, C.jcc(cc)),
      row(`J${name} Jz | 0F ${hex(0x80 + cc)} | f64 end ${reads}`, C.jcc(cc)),
      row(`SET${name} Eb:w | 0F ${hex(0x90 + cc)} /r | ${reads}`, M.setcc(cc)),
      row(`CMOV${name} Gv:rw,Ev | 0F ${hex(0x40 + cc)} /r | feature=cmov ${reads}`, M.cmov(cc)),
    ];
  }),

  row('MOVSB | A4 | string size=b', T.movs),
  row('MOVS | A5 | string size=v', T.movs),
  row('CMPSB | A6 | string size=b w=oszapc', T.cmps),
  row('CMPS | A7 | string size=v w=oszapc', T.cmps),
  row('STOSB | AA | string size=b', T.stos),
  row('STOS | AB | string size=v', T.stos),
  row('LODSB | AC | string size=b', T.lods),
  row('LODS | AD | string size=v', T.lods),
  row('SCASB | AE | string size=b w=oszapc', T.scas),
  row('SCAS | AF | string size=v w=oszapc', T.scas),

  // 90 without REX.B is no exchange: XCHG EAX,EAX would clear the upper half
  row('NOP | 90', M.nop),
  row('NOP Ev | 0F 1F /0 | nomem', M.nop),
  // hint space that does nothing on this model: ENDBR, and the reserved NOPs
  row('NOP Ev | 0F 19 /r | nomem', M.nop),
  row('NOP Ev | 0F 1A /r | nomem', M.nop),
  row('NOP Ev | 0F 1B /r | nomem', M.nop),
  row('NOP Ev | 0F 1C /r | nomem', M.nop),
  row('NOP Ev | 0F 1D /r | nomem', M.nop),
  row('NOP Ev | 0F 1E /r | nomem', M.nop),
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => row(`NOP Ev | 0F 1F /${n} | nomem`, M.nop)),
];
