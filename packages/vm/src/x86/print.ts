/**
 * Staged statements as text, for people: `FLAG_RESULT = sx32(l2)` instead of an i64.store at cpu + 0x10a0. Types are
 * left out where the operands tell; `:32` marks 32-bit arithmetic, `s`/`u` after an operator its signedness.
 */
import type { Stmt } from './block.ts';
import type { E } from './expr.ts';
import * as S from './state.ts';

const GPR_NAMES = 'RAX RCX RDX RBX RSP RBP RSI RDI R8 R9 R10 R11 R12 R13 R14 R15'.split(' ');
const INFIX: Readonly<Record<string, string>> = {
  add: '+',
  sub: '-',
  mul: '*',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr_u: '>>u',
  shr_s: '>>s',
  div_u: '/u',
  div_s: '/s',
  rem_u: '%u',
  rem_s: '%s',
  eq: '==',
  ne: '!=',
  lt_u: '<u',
  lt_s: '<s',
  gt_u: '>u',
  gt_s: '>s',
  le_u: '<=u',
  le_s: '<=s',
  ge_u: '>=u',
  ge_s: '>=s',
  rotl: 'rotl',
  rotr: 'rotr',
};

const STATE_NAMES = new Map<number, string>(
  Object.entries(S).flatMap(([name, offset]) =>
    typeof offset === 'number' && offset >= S.GPR && offset < S.REGISTERS_END && !name.endsWith('_ENTRIES')
      ? [[offset, name] as const]
      : [],
  ),
);
GPR_NAMES.forEach((name, i) => STATE_NAMES.set(S.GPR + i * 8, name));
const RECORD_NAMES = new Map<number, string>(
  Object.entries(S.REC).flatMap(([name, offset]) => (name === 'SIZE' ? [] : [[offset, name] as const])),
);

/** Name of an offset in the vCPU's area, or its number. */
export function stateName(offset: number): string {
  const exact = STATE_NAMES.get(offset);
  if (exact !== undefined) return exact;
  if (offset >= S.GPR && offset < S.ZERO)
    return `${GPR_NAMES[(offset - S.GPR) >> 3] ?? ''}.${(offset - S.GPR) & 7}`;
  if (offset >= S.XMM && offset < S.X87) return `XMM${(offset - S.XMM) >> 4}`;
  if (offset >= S.SEGMENTS && offset < S.GDTR) {
    const segment = Object.keys(S.SEG)[Math.floor((offset - S.SEGMENTS) / S.SEGMENT_STRIDE)] ?? '';
    return `${segment}.${['base', 'base+4', 'limit', 'attributes', 'selector'][((offset - S.SEGMENTS) % S.SEGMENT_STRIDE) >> 2] ?? ''}`;
  }
  return `cpu[${hex(offset)}]`;
}

function hex(n: number | bigint): string {
  const negative = n < 0;
  const magnitude = negative ? -n : n;
  return `${negative ? '-' : ''}${magnitude < 10 ? magnitude : `0x${magnitude.toString(16)}`}`;
}

/** `address` + `offset` as a place: a state name, a record field, or memory. */
function place(address: E, offset: number, op: string): string {
  const width = /(8|16|32)(_[su])?$/.exec(op)?.[1];
  const suffix = width === undefined ? '' : `.${width}`;
  if (address.op === 'cpu') return stateName(offset) + suffix;
  if (address.op === 'rec') return `rec.${RECORD_NAMES.get(offset) ?? hex(offset)}`;
  const [base, field] = address.args;
  // a register that the record names
  if (offset === 0 && base?.op === 'cpu' && field?.args[0]?.op === 'rec')
    return `reg(${printExpression(field)})${suffix}`;
  if (base?.op === 'cpu' && field !== undefined)
    return `${stateName(offset)}[${printExpression(field)}]${suffix}`;
  return `mem${suffix}[${printExpression(address)}${offset === 0 ? '' : ` + ${hex(offset)}`}]`;
}

export function printExpression(e: E): string {
  const args = (): string[] => e.args.map(printExpression);
  switch (e.op) {
    case 'const':
      return hex(e.imm as number | bigint);
    case 'local':
      return `l${e.imm as number}`;
    case 'param':
      return `p${e.imm as number}`;
    case 'cpu':
    case 'rec':
      return e.op;
    case 'select': {
      const [a, b, condition] = args();
      return `(${condition} ? ${a} : ${b})`;
    }
    case 'call':
      return `${e.imm as string}(${args().join(', ')})`;
    case 'i32.wrap_i64':
      return `low32(${args()[0]})`;
    case 'i64.extend_i32_u':
      return args()[0] ?? '';
    default:
  }
  const [type = '', name = ''] = e.op.split('.');
  const [first] = e.args;
  if (first !== undefined && /^load/.test(name)) return place(first, e.imm as number, e.op);
  const infix = /^i(32|64)$/.test(type) ? INFIX[name] : undefined;
  if (infix !== undefined) {
    const [a, b] = args();
    const narrow = e.args[0]?.ty === 'i32' && e.ty === 'i32' && /^[-+*]|<<|>>/.test(infix) ? ':32' : '';
    return `(${a} ${infix}${narrow} ${b})`;
  }
  const extend = /^extend(\d+)_s$/.exec(name);
  if (extend !== null) return `sx${extend[1]}(${args()[0]})`;
  if (e.op === 'i64.extend_i32_s') return `sx32(${args()[0]})`;
  if (name === 'eqz') return `!${args()[0]}`;
  const lane = /lane|shuffle/.test(name) ? `<${String(e.imm)}>` : '';
  return `${e.op}${lane}(${args().join(', ')})`;
}

/** One line per statement, nested blocks indented by two spaces. */
export function printStatements(statements: readonly Stmt[], indent = ''): string[] {
  return statements.flatMap((s) => printStatement(s, indent));
}

function printStatement(s: Stmt, indent: string): string[] {
  const line = (text: string): string[] => [indent + text];
  const list = (args: readonly E[]): string => args.map(printExpression).join(', ');
  switch (s.k) {
    case 'set':
      return line(`l${s.local} = ${printExpression(s.value)}`);
    case 'store':
      return line(`${place(s.address, s.offset, s.op)} = ${printExpression(s.value)}`);
    case 'drop':
      return line(printExpression(s.value));
    case 'call':
      return line(`${s.name}(${list(s.args)})`);
    case 'bulk':
      return line(`${s.op}(${list(s.args)})`);
    case 'return':
      return line(`return ${list(s.values)}`.trimEnd());
    case 'end':
      return line(`end ${s.how}`);
    case 'if': {
      const otherwise =
        s.else.length === 0 ? [] : [`${indent}else`, ...printStatements(s.else, `${indent}  `)];
      return [
        `${indent}if ${printExpression(s.condition)}`,
        ...printStatements(s.then, `${indent}  `),
        ...otherwise,
      ];
    }
    case 'loop':
      return [`${indent}loop`, ...printStatements(s.body, `${indent}  `)];
    case 'fence':
    case 'break':
    case 'continue':
      return line(s.k);
    default:
      return s satisfies never;
  }
}
