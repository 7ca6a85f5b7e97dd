import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, VmError } from '@vivarium/vm';
import { parseRunOptions } from './run-options.ts';

test('defaults', () => {
  const options = parseRunOptions('busybox', [], {});
  assert.equal(options.memoryBytes, 256 * 2 ** 20);
  assert.deepEqual(
    [options.engine, options.tty, options.interactive, options.gdbPort],
    ['auto', false, false, undefined],
  );
});

test('one leading -- before the command is dropped, and only one', () => {
  assert.deepEqual(parseRunOptions('busybox', ['--', 'sh', '--'], {}).command, ['sh', '--']);
  assert.deepEqual(parseRunOptions('busybox', ['--', '--', 'x'], {}).command, ['--', 'x']);
  assert.deepEqual(parseRunOptions('busybox', ['ls', '-m'], {}).command, ['ls', '-m']);
});

test('each bad value has its code and a remedy', () => {
  const rows: readonly (readonly [ErrorCode, string, Record<string, unknown>])[] = [
    ['IMAGE_UNKNOWN', 'debian13', {}],
    ['CPUS_UNSUPPORTED', 'busybox', { cpus: '2' }],
    ['USAGE', 'busybox', { cpus: '0' }],
    ['USAGE', 'busybox', { cpus: 'two' }],
    ['USAGE', 'busybox', { engine: 'tcg' }],
    ['USAGE', 'busybox', { memory: 'lots' }],
    ['USAGE', 'busybox', { gdb: '70000' }],
  ];
  for (const [code, image, raw] of rows) {
    assert.throws(
      () => parseRunOptions(image, [], raw),
      (error: unknown) => error instanceof VmError && error.code === code && (error.remedy ?? '') !== '',
      JSON.stringify(raw),
    );
  }
});

test('the code cache has a least size, and the tier a name', () => {
  assert.equal(parseRunOptions('busybox', [], {}).translate, undefined);
  assert.deepEqual(parseRunOptions('busybox', [], { translate: 'sync', codeCache: '8m' }).translate, {
    tier: 'sync',
    cacheBytes: 8 << 20,
  });
  assert.throws(() => parseRunOptions('busybox', [], { codeCache: '4k' }), { code: 'USAGE' });
  assert.throws(() => parseRunOptions('busybox', [], { translate: 'never' }), { code: 'USAGE' });
});

test('a deterministic machine has a seed; seed and event log are nothing without it', () => {
  const { deterministic } = parseRunOptions('busybox', [], { deterministic: true, eventLog: 'log' });
  assert.deepEqual(deterministic, { seed: 1, eventLog: 'log' });
  assert.equal(parseRunOptions('busybox', [], {}).deterministic, undefined);
  for (const raw of [{ seed: '5' }, { eventLog: 'log' }, { deterministic: true, seed: '-1' }])
    assert.throws(() => parseRunOptions('busybox', [], raw), { code: 'USAGE' });
});
