/** Every WebAssembly instruction that semantics may use: evaluated and executed by the host's engine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wasm } from '../wasm/api.ts';
import { Bytes, ModuleBuilder } from '../wasm/module.ts';
import { type Ty, type WasmOp, wasmOps } from '../wasm/opcodes.ts';
import { type Definition, define } from './block.ts';
import { emitStatements } from './emit.ts';
import { evaluateCall, OverlayMemory, viewMemory } from './eval.ts';
import { apply } from './expr.ts';

const RESULT = 64;
const VALUES: readonly bigint[] = [
  0n,
  1n,
  0x7fffffff80000000n,
  0xffffffffffffffffn,
  0x8000000000000000n,
  0x3ff8000000000000n,
  0xc004000000000000n,
  0x3f8000003fc00000n,
  0x7f800000ff800000n,
  0x4f0000004b800001n,
  0x41dfffffffc00000n,
  0x7ff0000000000000n,
  0x0123456789abcdefn,
  0x80ff7f0180fe0281n,
  0x43e0000000000001n,
  0x0000000100000020n,
];

/** RESULT = op(operands at 0, 16 and 32). */
function definition(op: WasmOp, index: number): Definition {
  return define(`op${index}`, [], null, (b) => {
    const operands = op.params.map((ty, i) => b.hostLoad(`${ty}.load`, b.cpu, i * 16));
    const lanes = Array.from({ length: 16 }, (_, i) => (i * 7) % 32);
    const imm = op.immediate === 'lanes16' ? lanes : op.immediate === 'lane' ? 1 : 0;
    b.hostStore(`${op.result as Ty}.store`, b.cpu, apply(op.name, operands, imm), RESULT);
  });
}

/** NaNs of arithmetic have any payload. */
function canonical(bits: bigint, name: string): bigint {
  const width = /^f64/.test(name) ? 64n : /^f32/.test(name) ? 32n : 0n;
  if (width === 0n) return bits;
  let out = 0n;
  for (let at = 0n; at < 128n; at += width) {
    let lane = BigInt.asUintN(Number(width), bits >> at);
    const exponent = width === 64n ? 0x7ffn << 52n : 0xffn << 23n;
    const fraction = width === 64n ? (1n << 52n) - 1n : (1n << 23n) - 1n;
    if ((lane & exponent) === exponent && (lane & fraction) !== 0n) lane = exponent | fraction;
    out |= lane << at;
  }
  return out;
}

test('every instruction gives what the host’s WebAssembly gives', () => {
  const ops = wasmOps().filter((op) => op.result !== null && op.immediate !== 'memory');
  assert.ok(ops.length > 250);
  const definitions = ops.map(definition);
  const module = new ModuleBuilder();
  for (const d of definitions) {
    const code = new Bytes();
    emitStatements(d.body.statements, code, {
      cpu: 0,
      record: 0,
      firstParam: 1,
      local: (i) => 1 + i,
      functionIndex: () => 0,
      end: () => {},
    });
    const at = module.reserve();
    module.body(at, {
      name: d.name,
      params: ['i32'],
      result: null,
      locals: d.body.locals,
      code: code.bytes().slice(),
    });
    module.export(d.name, at);
  }
  const memory = new wasm.Memory({ initial: 1, maximum: 1, shared: true });
  const instance = new wasm.Instance(new wasm.Module(module.write({ min: 1, max: 1 })), { env: { memory } });
  const exports = instance.exports as Readonly<Record<string, (cpu: number) => void>>;
  const view = new DataView(memory.buffer);
  const functions = new Map(definitions.map((d) => [d.name, d]));
  const differences: string[] = [];
  let compared = 0;
  ops.forEach((op, n) => {
    for (let k = 0; k < VALUES.length ** Math.min(2, op.params.length); k++) {
      const pick = (i: number): bigint => VALUES[i % VALUES.length] as bigint;
      const [a, b] = [pick(k), pick(Math.floor(k / VALUES.length) + k)];
      [a, b, b, a, a ^ b, b].forEach((v, i) => view.setBigUint64(i * 8, v, true));
      view.setBigUint64(RESULT, 0n, true);
      view.setBigUint64(RESULT + 8, 0n, true);
      const overlay = new OverlayMemory(viewMemory(view));
      const attempt = (run: () => void): boolean => {
        try {
          run();
          return true;
        } catch {
          return false;
        }
      };
      const evaluated = attempt(() =>
        evaluateCall({ memory: overlay, cpu: 0, functions, imports: {} }, `op${n}`, []),
      );
      const executed = attempt(() => exports[`op${n}`]?.(0));
      const want = canonical(viewMemory(view).load(RESULT, 16), op.name);
      const got = canonical(overlay.load(RESULT, 16), op.name);
      compared++;
      if (evaluated === executed && (!executed || want === got)) continue;
      differences.push(
        `${op.name} ${a.toString(16)} ${b.toString(16)}: ${want.toString(16)}, evaluated ${got.toString(16)}`,
      );
      break;
    }
  });
  assert.ok(compared > 20_000);
  assert.equal(differences.join('\n'), '');
});
