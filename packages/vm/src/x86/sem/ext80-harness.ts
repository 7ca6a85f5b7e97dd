/** For tests: the functions of the 80-bit arithmetic compiled into a module of their own. */
import { wasm } from '../../wasm/api.ts';
import { Bytes, ModuleBuilder } from '../../wasm/module.ts';
import { emitStatements } from '../emit.ts';
import * as S from '../state.ts';
import { WIDE_DEFINITIONS } from './wide.ts';
import { X87_DEFINITIONS } from './x87-definitions.ts';

const FUNCTIONS = [...WIDE_DEFINITIONS, ...X87_DEFINITIONS];

export type Value = readonly [sig: bigint, se: number];

/** The vCPU's area is at address 0. */
const memory = new wasm.Memory({ initial: 1, maximum: 1, shared: true });
export const area: DataView = new DataView(memory.buffer);

function compile(): Readonly<Record<string, (...args: unknown[]) => unknown>> {
  const module = new ModuleBuilder();
  const index = new Map(FUNCTIONS.map((d) => [d.name, module.reserve()]));
  for (const d of FUNCTIONS) {
    const code = new Bytes();
    emitStatements(d.body.statements, code, {
      cpu: 0,
      record: 0,
      firstParam: 1,
      local: (i) => 1 + d.params.length + i,
      functionIndex: (name) => {
        const at = index.get(name);
        if (at === undefined) throw new Error(`no function ${name}`);
        return at;
      },
      end: (how) => {
        throw new Error(`a function ends an instruction with ${how}`);
      },
    });
    if (d.result !== null) code.byte(0);
    const at = index.get(d.name) ?? 0;
    const { name, result, body } = d;
    module.body(at, { name, params: ['i32', ...d.params], result, locals: body.locals, code: code.bytes() });
    module.export(name, at);
  }
  const instance = new wasm.Instance(new wasm.Module(module.write({ min: 1, max: 1 })), { env: { memory } });
  return instance.exports as Readonly<Record<string, (...args: unknown[]) => unknown>>;
}
const functions = compile();

export function call(name: string, ...args: (bigint | number)[]): bigint {
  area.setInt32(S.X87_EXCEPTIONS, 0, true);
  area.setInt32(S.X87_DENORMAL, 0, true);
  return BigInt.asUintN(64, BigInt(functions[name]?.(0, ...args) as bigint));
}
export function callValue(name: string, ...args: (bigint | number)[]): Value {
  const sig = call(name, ...args);
  return [sig, area.getUint16(S.X87_SE, true)];
}
/** FSW bits signaled by the last call. */
export const exceptions = (): number => area.getInt32(S.X87_EXCEPTIONS, true);

let state = 88172645463325252n;
/** Pseudo-random 64 bits (xorshift). */
export function random(): bigint {
  state ^= BigInt.asUintN(64, state << 13n);
  state ^= state >> 7n;
  state ^= BigInt.asUintN(64, state << 17n);
  return state;
}
export const below = (n: number): number => Number(random() % BigInt(n));
export const hex = ([sig, se]: Value): string => `${se.toString(16)}:${sig.toString(16)}`;
