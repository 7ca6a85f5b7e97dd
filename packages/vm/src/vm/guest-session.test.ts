import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VmError } from '../base/errors.ts';
import type { GuestPort } from './guest-port.ts';
import { GuestSession } from './guest-session.ts';

/** Both ends of a port: the test plays the guest. */
class FakePort implements GuestPort {
  readonly #items: (Uint8Array | undefined)[] = [];
  #readers: ((item: Uint8Array | undefined) => void)[] = [];
  written = '';
  events: string[] = [];
  /** Resolves after each write. */
  onWrite: () => void = () => undefined;

  say(item: string | undefined): void {
    const bytes = item === undefined ? undefined : new TextEncoder().encode(item);
    const reader = this.#readers.shift();
    if (reader !== undefined) reader(bytes);
    else this.#items.push(bytes);
  }

  read(): Promise<Uint8Array | undefined> {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written += new TextDecoder().decode(bytes);
    this.onWrite();
  }

  close(): void {
    this.events.push('close');
  }

  open(): void {
    this.events.push('open');
  }

  async heard(text: string): Promise<void> {
    while (!this.written.includes(text)) await new Promise<void>((resolve) => (this.onWrite = resolve));
  }
}

function fixture() {
  const port = (): FakePort => new FakePort();
  const ports = { terminal: port(), stdin: port(), stdout: port(), stderr: port(), control: port() };
  return { ports, session: new GuestSession(ports) };
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = '';
  for await (const bytes of stream) text += Buffer.from(bytes).toString();
  return text;
}

test('a command waits for the guest, its streams stay apart, its exit code comes back', async () => {
  const { ports, session } = fixture();
  const process = session.start('run', { argv: ['sh'], tty: false });
  session.begin();
  assert.equal(ports.control.written, '');
  ports.control.say('ready 1 6.1.0\n');
  assert.equal(await session.ready, '6.1.0');
  await ports.control.heard("argv 'sh'\nrun pipe\n");
  ports.stdout.say('out');
  ports.stderr.say('err');
  ports.stdout.say(undefined);
  ports.control.say('exit 7\n');
  assert.equal(await process.exitCode, 7);
  ports.stderr.say('late');
  ports.stderr.say(undefined);
  assert.deepEqual(await Promise.all([textOf(process.stdout), textOf(process.stderr)]), ['out', 'errlate']);
});

test('input goes to the port, and its end closes it', async () => {
  const { ports, session } = fixture();
  const process = session.start('run', { argv: ['cat'], tty: false });
  const writer = process.stdin.getWriter();
  await writer.write(Buffer.from('abc'));
  await writer.close();
  assert.equal(ports.stdin.written, 'abc');
  assert.deepEqual(ports.stdin.events, ['open', 'close']);
});

test('a terminal is one stream both ways, has a size, and ends with what had arrived', async () => {
  const { ports, session } = fixture();
  const process = session.start('run', { argv: ['sh'], tty: true }, { columns: 80, rows: 24 });
  ports.control.say('ready 1 x\n');
  await ports.control.heard('size 80 24\n');
  assert.ok(ports.control.written.indexOf('size') < ports.control.written.indexOf('run tty'));
  process.resize(132, 43);
  await ports.control.heard('size 132 43\n');
  await process.stdin.getWriter().write(Buffer.from('x'));
  assert.equal(ports.terminal.written, 'x');
  ports.terminal.say('prompt');
  ports.control.say('exit 0\n');
  assert.equal(await process.exitCode, 0);
  assert.deepEqual(await Promise.all([textOf(process.stdout), textOf(process.stderr)]), ['prompt', '']);
});

test('commands run one after the other; an exit nobody waits for is ignored', async () => {
  const { ports, session } = fixture();
  ports.control.say('ready 1 x\nexit 9\n');
  await session.ready;
  const first = session.start('exec', { argv: ['a'], tty: false });
  const second = session.start('exec', { argv: ['b'], tty: false });
  await ports.control.heard("argv 'a'");
  assert.doesNotMatch(ports.control.written, /'b'/);
  ports.control.say('exit 1\n');
  assert.equal(await first.exitCode, 1);
  await ports.control.heard("argv 'b'");
  ports.stdout.say(undefined);
  ports.stdout.say('of b');
  ports.stdout.say(undefined);
  ports.control.say('exit 2\n');
  assert.equal(await second.exitCode, 2);
  assert.deepEqual(await Promise.all([textOf(first.stdout), textOf(second.stdout)]), ['', 'of b']);
});

test('who stops reading waits for nobody, and the next command gets its own output', async () => {
  const { ports, session } = fixture();
  ports.control.say('ready 1 x\n');
  const first = session.start('exec', { argv: ['a'], tty: false });
  const second = session.start('exec', { argv: ['b'], tty: false });
  ports.stdout.say('of a');
  for await (const bytes of first.stdout) {
    assert.equal(Buffer.from(bytes).toString(), 'of a');
    break;
  }
  ports.stdout.say('more of a');
  ports.stdout.say(undefined);
  ports.control.say('exit 0\n');
  await first.exitCode;
  ports.stdout.say('of b');
  ports.stdout.say(undefined);
  ports.control.say('exit 0\n');
  assert.equal(await textOf(second.stdout), 'of b');
});

test('after a reboot the command starts again', async () => {
  const { ports, session } = fixture();
  const process = session.start('run', { argv: ['sh'], tty: false });
  ports.control.say('ready 1 x\n');
  await ports.control.heard('run pipe\n');
  const output = textOf(process.stdout);
  ports.stdout.say('one ');
  session.begin();
  ports.stdout.say(undefined);
  ports.control.written = '';
  ports.control.say('ready 1 x\n');
  await ports.control.heard('run pipe\n');
  ports.stdout.say('two');
  ports.stdout.say(undefined);
  ports.control.say('exit 3\n');
  assert.equal(await process.exitCode, 3);
  assert.equal(await output, 'one two');
});

test('an exec that runs when the guest restarts is over; what waits goes on afterwards', async () => {
  const { ports, session } = fixture();
  session.begin();
  ports.control.say('ready 1 x\n');
  const restarted = session.start('exec', { argv: ['reboot'], tty: false });
  const waiting = session.start('exec', { argv: ['true'], tty: false });
  await ports.control.heard("argv 'reboot'\nexec pipe\n");
  session.begin();
  await assert.rejects(restarted.exitCode, { code: 'GUEST_RESTARTED' });
  ports.control.written = '';
  ports.control.say('ready 1 x\n');
  await ports.control.heard("argv 'true'\nexec pipe\n");
  ports.control.say('exit 0\n');
  assert.equal(await waiting.exitCode, 0);
});

test('the end of the machine is 0 after a power-off, otherwise the error, and ends the streams', async () => {
  for (const error of [undefined, new VmError('GUEST_CRASHED', { message: 'triple fault' })]) {
    const { ports, session } = fixture();
    const process = session.start('run', { argv: ['sh'], tty: false });
    ports.stdout.say('last words');
    session.end(error);
    if (error === undefined) assert.equal(await process.exitCode, 0);
    else await assert.rejects(process.exitCode, error);
    assert.equal(await textOf(process.stdout), 'last words');
    assert.equal(await textOf(process.stderr), '');
  }
});
