import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { VmError } from '../base/errors.ts';
import { commandLines, LINE_MAX, LineReader, parseGuestLine, quoteWord, sizeLine } from './guest-protocol.ts';

test('a shell reads back every word it is given', () => {
  const words = [
    '',
    'a b',
    "it's",
    'a\nb',
    '\n',
    "'\n'",
    '$HOME `id` \\ "x" *',
    'ümläut €',
    '-n',
    '\t\x01\x7f',
    '\\n',
  ];
  const script = `NL='\n'; for w in ${words.map(quoteWord).join(' ')}; do printf '%s\\0' "$w"; done`;
  assert.deepEqual(execFileSync('sh', ['-c', script]).toString().split('\0').slice(0, -1), words);
});

test('a command becomes its lines in order, and cannot smuggle another line in', () => {
  assert.equal(
    commandLines('run', {
      argv: ['sh', '-c', 'a\nexec pipe'],
      env: { TERM: 'xterm' },
      cwd: '/tmp',
      tty: false,
    }),
    `env 'TERM=xterm'\ncwd '/tmp'\nargv 'sh' '-c' 'a'"$NL"'exec pipe'\nrun pipe\n`,
  );
  assert.equal(commandLines('exec', { argv: ['sh'], tty: true }), `argv 'sh'\nexec tty\n`);
  assert.equal(sizeLine(0, 70000.5), 'size 1 65535\n');
});

test('what no guest process could receive is refused before it is sent', () => {
  for (const command of [
    { argv: ['a\0b'], tty: false },
    { argv: ['a'], env: { 'A B': '' }, tty: false },
    { argv: ['a'], env: { 'X\nrun': '' }, tty: false },
    { argv: ['x'.repeat(LINE_MAX)], tty: false },
  ]) {
    assert.throws(
      () => commandLines('run', command),
      (e: unknown) => e instanceof VmError && e.code === 'USAGE',
    );
  }
});

test('guest lines parse; what is none is unknown, never an error of ours', () => {
  assert.deepEqual(parseGuestLine('ready 1 6.1.0-9-cloud-amd64'), {
    kind: 'ready',
    version: 1,
    release: '6.1.0-9-cloud-amd64',
  });
  assert.deepEqual(parseGuestLine('exit 255'), { kind: 'exit', code: 255 });
  for (const text of ['exit 256', 'exit', 'exit -1', 'exit 1 2', 'ready', 'READY 1 x', '', '\0']) {
    assert.equal(parseGuestLine(text).kind, 'unknown', text);
  }
});

test('lines split anywhere, and one without end costs no memory', () => {
  const lines: string[] = [];
  const reader = new LineReader((text) => lines.push(text));
  for (const byte of Buffer.from('exit 7\nerror ü\n')) reader.push(Uint8Array.of(byte));
  assert.deepEqual(lines.splice(0), ['exit 7', 'error ü']);
  for (let i = 0; i < 5; i++) reader.push(new Uint8Array(LINE_MAX / 2).fill(0x61));
  reader.push(Buffer.from('tail\nexit 1\n'));
  assert.deepEqual(lines, ['exit 1']);
});
