import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateInterpreter } from '../engine/interp/generate.ts';
import { disassembleFunction } from './disassemble.ts';
import { Bytes, ModuleBuilder } from './module.ts';
import { wasmOp, wasmOps } from './opcodes.ts';
import { readWasm, WasmFormatError } from './read.ts';

function module(code: readonly number[], fill?: (m: ModuleBuilder) => void): Uint8Array {
  const m = new ModuleBuilder();
  m.import('env', 'helper', ['i32', 'i64'], 'i32');
  fill?.(m);
  const index = m.reserve();
  m.body(index, {
    name: 'f',
    params: ['i32'],
    result: 'i32',
    locals: ['i64', 'i64', 'v128'],
    code: Uint8Array.from(code),
  });
  m.export('f', index);
  return m.write({ min: 1, max: 1 });
}

function text(code: readonly number[], place?: (offset: number) => string | undefined): string[] {
  const contents = readWasm(module(code));
  const [body] = contents.functions;
  assert.ok(body !== undefined);
  return disassembleFunction(contents, body, place === undefined ? {} : { place });
}

test('statements are folded, control flow is indented, places have names', () => {
  const code = [
    ...[0x20, 0, 0x29, 3, 0x90, 0x20, 0x21, 1], // l1 = i64.load(RIP)
    ...[0x02, 0x40, 0x03, 0x40], // block, loop
    ...[0x20, 1, 0x42, 16, 0x7c, 0x22, 2, 0x50, 0x0d, 1], // br_if on (l2 = l1 + 16) == 0
    ...[0x20, 0, 0x20, 2, 0x37, 3, 8, 0x0c, 0, 0x0b, 0x0b], // i64.store, br, end, end
    ...[0x20, 0, 0x20, 1, 0x10, 0], // call helper
  ];
  assert.deepEqual(
    text(code, (offset) => (offset === 0x1010 ? 'RIP' : undefined)),
    [
      'func f (l0 i32) → i32',
      '  l1 i64, l2 i64, l3 v128',
      '  l1 = i64.load(RIP)',
      '  block @1',
      '    loop @2',
      '      l2 = i64.add(l1, 0x10)',
      '      br_if @1 i64.eqz(l2)',
      '      i64.store(l0 + 0x8, l2)',
      '      br @2',
      '    end @2',
      '  end @1',
      '  t0 = call env.helper(l0, l1)',
      '  => t0',
    ],
  );
});

test('a value computed before a store stays before it', () => {
  // load; store 0; use of the load
  const code = [0x20, 0, 0x28, 2, 4, 0x20, 0, 0x41, 0, 0x36, 2, 4, 0x41, 3, 0x6a];
  assert.deepEqual(text(code).slice(2), [
    '  t0 = i32.load(l0 + 0x4)',
    '  i32.store(l0 + 0x4, 0)',
    '  => i32.add(t0, 3)',
  ]);
});

test('if with a result, else, select, branch table, what is not reached', () => {
  const code = [
    ...[0x20, 0, 0x04, 0x7f, 0x41, 1, 0x05, 0x41, 0x7f, 0x0b], // if l0 then 1 else -1
    ...[0x41, 5, 0x20, 0, 0x1b, 0x21, 0], // l0 = select
    ...[0x02, 0x40, 0x20, 0, 0x0e, 1, 0, 0, 0x1a, 0x0b, 0x41, 0],
  ];
  assert.deepEqual(text(code).slice(2), [
    '  if @1 l0',
    '    => 1',
    '  else',
    '    => -1',
    '  end @1',
    '  l0 = (l0 ? @1 : 5)',
    '  block @2',
    '    br_table l0 [@2] else @2',
    '    drop ?',
    '  end @2',
    '  => 0',
  ]);
});

test('every instruction that our emitters know', () => {
  for (const op of wasmOps()) {
    const code = new Bytes();
    for (const type of op.params) {
      if (type === 'v128') {
        code.put(0xfd, 0x0c, ...new Array<number>(16).fill(7));
      } else if (type === 'i32') code.put(0x41, 1);
      else if (type === 'i64') code.put(0x42, 1);
      else if (type === 'f32') code.put(0x43, 0, 0, 0x80, 0x3f);
      else code.put(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f);
    }
    if (op.prefix !== 0) code.byte(op.prefix);
    if (op.prefix === 0) code.byte(op.code);
    else code.u32(op.code);
    if (op.immediate === 'memory') code.put(0, 9);
    if (op.immediate === 'lane') code.byte(1);
    if (op.immediate === 'lanes16') code.put(...Array.from({ length: 16 }, (_, i) => i));
    if (op.immediate === 'zero') code.byte(0);
    if (op.result !== null) code.byte(0x1a);
    code.put(0x41, 0);
    const lines = text([...code.bytes()]);
    assert.ok(
      lines.some((line) => line.includes(op.name)),
      op.name,
    );
    assert.equal(lines.at(-1), '  => 0', `${op.name}: what follows it is read rightly`);
  }
});

test('the whole generated interpreter', () => {
  const contents = readWasm(generateInterpreter({ min: 1, max: 65536 }));
  assert.ok(contents.functions.length > 500);
  for (const body of contents.functions) {
    const lines = disassembleFunction(contents, body);
    assert.ok(!lines.some((line) => /\bundefined\b/.test(line)));
  }
  assert.ok(contents.functions.some((f) => f.name === 'run'));
});

test('no module, a cut one, an unknown instruction', () => {
  assert.throws(() => readWasm(new Uint8Array(8)), WasmFormatError);
  const whole = module([0x41, 0]);
  for (let cut = 9; cut < whole.length - 20; cut += 5) {
    try {
      readWasm(whole.subarray(0, cut));
    } catch (error) {
      assert.ok(error instanceof WasmFormatError, `${cut}: ${String(error)}`);
    }
  }
  assert.throws(() => text([0x06, 0x41, 0]), /instruction 6 at byte 0 is not known/);
  assert.equal(wasmOp('i32.add').code, 0x6a);
});
