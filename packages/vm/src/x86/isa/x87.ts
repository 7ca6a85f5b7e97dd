/** x87 instructions (SDM volume 2, appendix A.5: escape opcodes D8–DF). */
import { type Row, row, type Semantics } from '../row.ts';
import * as C from '../sem/x87-control.ts';
import * as X from '../sem/x87.ts';

/** Operations in ModR/M.reg order; 2 and 3 are compares. */
const OPERATIONS = ['ADD', 'MUL', '', '', 'SUB', 'SUBR', 'DIV', 'DIVR'] as const;
/** Where the destination is ST(i), the reg field names the other direction. */
const REVERSED = ['ADD', 'MUL', '', '', 'SUBR', 'SUB', 'DIVR', 'DIV'] as const;

function arithmetic(): Row[] {
  return OPERATIONS.flatMap((name, n) => {
    if (name === '') return [];
    const other = REVERSED[n];
    return [
      x87(`F${name} Md`, `D8 /${n}m`, X.arithMemory(n, 'f32')),
      x87(`F${name} Mq`, `DC /${n}m`, X.arithMemory(n, 'f64')),
      x87(`F${name} ST:rw,STi`, `D8 /${n}r`, X.arithStack(n, false, false)),
      x87(`F${other} STi:rw,ST`, `DC /${n}r`, X.arithStack(n, true, false)),
      x87(`F${other}P STi:rw,ST`, `DE /${n}r`, X.arithStack(n, true, true)),
      x87(`FI${name} Md`, `DA /${n}m`, X.arithMemory(n, 'i32')),
      x87(`FI${name} Mw`, `DE /${n}m`, X.arithMemory(n, 'i16')),
    ];
  });
}
function x87(form: string, encoding: string, semantics: Semantics, attributes = ''): Row {
  return row(`${form} | ${encoding} | ${attributes} feature=x87`.replace('|  ', '| '), semantics);
}

const MOVES: readonly Row[] = [
  x87('FLD Md', 'D9 /0m', X.loadSingle),
  x87('FLD Mq', 'DD /0m', X.loadDouble),
  x87('FLD Mt', 'DB /5m', X.loadExtended),
  x87('FLD STi', 'D9 /0r', X.warmStack('x87_load_st')),
  x87('FILD Mw', 'DF /0m', X.loadInteger),
  x87('FILD Md', 'DB /0m', X.loadInteger),
  x87('FILD Mq', 'DF /5m', X.loadInteger),
  x87('FBLD Mt', 'DF /4m', X.loadDecimal),
  x87('FST Md:w', 'D9 /2m', X.storeFloat('f32', false)),
  x87('FST Mq:w', 'DD /2m', X.storeFloat('f64', false)),
  x87('FST STi:w', 'DD /2r', X.warmStack('x87_store_st', 0)),
  x87('FSTP Md:w', 'D9 /3m', X.storeFloat('f32', true)),
  x87('FSTP Mq:w', 'DD /3m', X.storeFloat('f64', true)),
  x87('FSTP Mt:w', 'DB /7m', X.storeExtended),
  x87('FSTP STi:w', 'DD /3r', X.warmStack('x87_store_st', 1)),
  x87('FIST Mw:w', 'DF /2m', X.storeInteger(false, false)),
  x87('FIST Md:w', 'DB /2m', X.storeInteger(false, false)),
  x87('FISTP Mw:w', 'DF /3m', X.storeInteger(false, true)),
  x87('FISTP Md:w', 'DB /3m', X.storeInteger(false, true)),
  x87('FISTP Mq:w', 'DF /7m', X.storeInteger(false, true)),
  x87('FISTTP Mw:w', 'DF /1m', X.storeInteger(true, true)),
  x87('FISTTP Md:w', 'DB /1m', X.storeInteger(true, true)),
  x87('FISTTP Mq:w', 'DD /1m', X.storeInteger(true, true)),
  x87('FBSTP Mt:w', 'DF /6m', X.storeDecimal),
  x87('FXCH STi:rw', 'D9 /1r', X.warmStack('x87_exchange')),
  x87('FCMOVB ST:rw,STi', 'DA /0r', X.conditionalMove(2), 'r=c'),
  x87('FCMOVE ST:rw,STi', 'DA /1r', X.conditionalMove(4), 'r=z'),
  x87('FCMOVBE ST:rw,STi', 'DA /2r', X.conditionalMove(6), 'r=cz'),
  x87('FCMOVU ST:rw,STi', 'DA /3r', X.conditionalMove(10), 'r=p'),
  x87('FCMOVNB ST:rw,STi', 'DB /0r', X.conditionalMove(3), 'r=c'),
  x87('FCMOVNE ST:rw,STi', 'DB /1r', X.conditionalMove(5), 'r=z'),
  x87('FCMOVNBE ST:rw,STi', 'DB /2r', X.conditionalMove(7), 'r=cz'),
  x87('FCMOVNU ST:rw,STi', 'DB /3r', X.conditionalMove(11), 'r=p'),
];

const COMPARES: readonly Row[] = [
  x87('FCOM Md', 'D8 /2m', X.compareMemory('f32', 0)),
  x87('FCOMP Md', 'D8 /3m', X.compareMemory('f32', 1)),
  x87('FCOM Mq', 'DC /2m', X.compareMemory('f64', 0)),
  x87('FCOMP Mq', 'DC /3m', X.compareMemory('f64', 1)),
  x87('FICOM Md', 'DA /2m', X.compareMemory('i32', 0)),
  x87('FICOMP Md', 'DA /3m', X.compareMemory('i32', 1)),
  x87('FICOM Mw', 'DE /2m', X.compareMemory('i16', 0)),
  x87('FICOMP Mw', 'DE /3m', X.compareMemory('i16', 1)),
  x87('FCOM STi', 'D8 /2r', X.warmStack('x87_compare_st', 0, 0)),
  x87('FCOMP STi', 'D8 /3r', X.warmStack('x87_compare_st', 0, 1)),
  x87('FCOMPP', 'DE =D9', X.warmStack('x87_compare_st', 0, 2)),
  x87('FUCOM STi', 'DD /4r', X.warmStack('x87_compare_st', 1, 0)),
  x87('FUCOMP STi', 'DD /5r', X.warmStack('x87_compare_st', 1, 1)),
  x87('FUCOMPP', 'DA =E9', X.warmStack('x87_compare_st', 1, 2)),
  x87('FCOMI ST,STi', 'DB /6r', X.compareFlags(false, false), 'w=oszapc'),
  x87('FCOMIP ST,STi', 'DF /6r', X.compareFlags(false, true), 'w=oszapc'),
  x87('FUCOMI ST,STi', 'DB /5r', X.compareFlags(true, false), 'w=oszapc'),
  x87('FUCOMIP ST,STi', 'DF /5r', X.compareFlags(true, true), 'w=oszapc'),
  x87('FTST', 'D9 =E4', X.test),
  x87('FXAM', 'D9 =E5', X.warm('x87_examine')),
];

/** Significands are truncated; the flags say whether they round up at all and to nearest. */
const CONSTANTS: readonly Row[] = [
  x87('FLD1', 'D9 =E8', X.loadConstant(0x3fff, 1n << 63n, 0, 0)),
  x87('FLDL2T', 'D9 =E9', X.loadConstant(0x4000, 0xd49a784bcd1b8afen, 1, 0)),
  x87('FLDL2E', 'D9 =EA', X.loadConstant(0x3fff, 0xb8aa3b295c17f0bbn, 1, 1)),
  x87('FLDPI', 'D9 =EB', X.loadConstant(0x4000, 0xc90fdaa22168c234n, 1, 1)),
  x87('FLDLG2', 'D9 =EC', X.loadConstant(0x3ffd, 0x9a209a84fbcff798n, 1, 1)),
  x87('FLDLN2', 'D9 =ED', X.loadConstant(0x3ffe, 0xb17217f7d1cf79abn, 1, 1)),
  x87('FLDZ', 'D9 =EE', X.loadConstant(0, 0n, 0, 0)),
];

const FUNCTIONS: readonly Row[] = [
  x87('FNOP', 'D9 =D0', X.noOperation),
  x87('FCHS', 'D9 =E0', X.warm('x87_sign', 0xffff, 0x8000)),
  x87('FABS', 'D9 =E1', X.warm('x87_sign', 0x7fff, 0)),
  x87('FSQRT', 'D9 =FA', X.warm('x87_sqrt')),
  x87('FRNDINT', 'D9 =FC', X.warm('x87_rint')),
  x87('FPREM', 'D9 =F8', X.warm('x87_prem')),
  x87('FPREM1', 'D9 =F5', X.warm('x87_prem1')),
  x87('FSCALE', 'D9 =FD', X.warm('x87_scale')),
  x87('FXTRACT', 'D9 =F4', X.warm('x87_extract')),
  x87('F2XM1', 'D9 =F0', X.warm('x87_2xm1')),
  x87('FYL2X', 'D9 =F1', X.warm('x87_yl2x')),
  x87('FPTAN', 'D9 =F2', X.warm('x87_tan')),
  x87('FPATAN', 'D9 =F3', X.warm('x87_patan')),
  x87('FYL2XP1', 'D9 =F9', X.warm('x87_yl2xp1')),
  x87('FSINCOS', 'D9 =FB', X.warm('x87_sincos')),
  x87('FSIN', 'D9 =FE', X.warm('x87_sin')),
  x87('FCOS', 'D9 =FF', X.warm('x87_cos')),
  x87('FDECSTP', 'D9 =F6', X.warm('x87_rotate', -1)),
  x87('FINCSTP', 'D9 =F7', X.warm('x87_rotate', 1)),
  x87('FFREE STi', 'DD /0r', X.warmStack('x87_free')),
];

const CONTROL: readonly Row[] = [
  x87('FWAIT', '9B', X.wait),
  x87('FLDCW Mw', 'D9 /5m', C.loadControl),
  x87('FNSTCW Mw:w', 'D9 /7m', C.storeControl),
  x87('FNSTSW Mw:w', 'DD /7m', C.storeStatus),
  x87('FNSTSW AX:w', 'DF =E0', C.storeStatus),
  x87('FNCLEX', 'DB =E2', C.clearExceptions),
  x87('FNINIT', 'DB =E3', C.initialise),
  x87('FLDENV M', 'D9 /4m', C.loadEnvironment, 'size=v'),
  x87('FNSTENV M:w', 'D9 /6m', C.storeEnvironment, 'size=v'),
  x87('FRSTOR M', 'DD /4m', C.restore, 'size=v'),
  x87('FNSAVE M:w', 'DD /6m', C.save, 'size=v'),
  row('FXSAVE M:w | NP 0F AE /0m | w0 feature=fxsr', C.saveExtended),
  row('FXSAVE64 M:w | NP 0F AE /0m | w1 o64 feature=fxsr', C.saveExtended),
  row('FXRSTOR M | NP 0F AE /1m | w0 feature=fxsr', C.restoreExtended),
  row('FXRSTOR64 M | NP 0F AE /1m | w1 o64 feature=fxsr', C.restoreExtended),
];

/** Encodings that every x87 executes and the manual leaves out: second forms, and no-operations of the 8087. */
const UNDOCUMENTED: readonly Row[] = [
  x87('FCOM STi', 'DC /2r', X.warmStack('x87_compare_st', 0, 0), 'undocumented'),
  x87('FCOMP STi', 'DC /3r', X.warmStack('x87_compare_st', 0, 1), 'undocumented'),
  x87('FCOMP STi', 'DE /2r', X.warmStack('x87_compare_st', 0, 1), 'undocumented'),
  x87('FXCH STi:rw', 'DD /1r', X.warmStack('x87_exchange'), 'undocumented'),
  x87('FXCH STi:rw', 'DF /1r', X.warmStack('x87_exchange'), 'undocumented'),
  x87('FSTP STi:w', 'DF /2r', X.warmStack('x87_store_st', 1), 'undocumented'),
  x87('FSTP STi:w', 'DF /3r', X.warmStack('x87_store_st', 1), 'undocumented'),
  x87('FSTPNCE STi:w', 'D9 /3r', X.warmStack('x87_store_pop_quietly'), 'undocumented'),
  x87('FFREEP STi', 'DF /0r', X.warmStack('x87_free_pop'), 'undocumented'),
  x87('FNENI', 'DB =E0', X.nothing, 'undocumented'),
  x87('FNDISI', 'DB =E1', X.nothing, 'undocumented'),
  x87('FNSETPM', 'DB =E4', X.nothing, 'undocumented'),
];

export const X87_ROWS: readonly Row[] = [
  ...arithmetic(),
  ...MOVES,
  ...COMPARES,
  ...CONSTANTS,
  ...FUNCTIONS,
  ...CONTROL,
  ...UNDOCUMENTED,
];
