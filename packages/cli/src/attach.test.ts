import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { type AttachStreams, attach } from './attach.ts';
import type { GuestCommand } from './guest.ts';

class Terminal extends PassThrough {
  readonly isTTY = true;
  readonly modes: boolean[] = [];
  columns = 80;
  rows = 24;

  setRawMode(mode: boolean): this {
    this.modes.push(mode);
    return this;
  }
}

/** A guest that records what it is told and ends when the test says so. */
class FakeGuest implements GuestCommand {
  readonly input = new TransformStream<Uint8Array, Uint8Array>();
  readonly output = new TransformStream<Uint8Array, Uint8Array>();
  readonly errors = new TransformStream<Uint8Array, Uint8Array>();
  readonly #exit = Promise.withResolvers<number>();
  readonly told: string[] = [];

  readonly stdin = this.input.writable;
  readonly stdout = this.output.readable;
  readonly stderr = this.errors.readable;
  readonly exitCode = this.#exit.promise;

  resize(columns: number, rows: number): void {
    this.told.push(`size ${columns} ${rows}`);
  }

  signal(name: string): void {
    this.told.push(`signal ${name}`);
  }

  kill(): void {
    this.told.push('kill');
    void this.finish(undefined);
  }

  async finish(code: number | undefined): Promise<void> {
    if (code === undefined) this.#exit.reject(new Error('killed'));
    else this.#exit.resolve(code);
    await Promise.allSettled([this.output.writable.close(), this.errors.writable.close()]);
  }
}

function streams(): AttachStreams & { stdin: Terminal; stdout: Terminal; stderr: PassThrough } {
  return { stdin: new Terminal(), stdout: new Terminal(), stderr: new PassThrough() };
}

async function write(to: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = to.getWriter();
  await writer.write(Buffer.from(text));
  writer.releaseLock();
}

test('output and error stay apart, and the exit code comes back', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: false, tty: false }, io);
  await write(guest.output.writable, 'out');
  await write(guest.errors.writable, 'err');
  await guest.finish(7);
  assert.equal(await done, 7);
  assert.equal(String(io.stdout.read()), 'out');
  assert.equal(String(io.stderr.read()), 'err');
  assert.deepEqual(io.stdin.modes, []);
});

test('without -i the input of the command ends at once', async () => {
  const guest = new FakeGuest();
  const done = attach(guest, { interactive: false, tty: false }, streams());
  const read = await guest.input.readable.getReader().read();
  assert.equal(read.done, true);
  await guest.finish(0);
  await done;
});

test('with -i input is passed on, and its end too', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: true, tty: false }, io);
  io.stdin.end('a\x1dqb');
  const reader = guest.input.readable.getReader();
  // No terminal, so no escape: every byte is data.
  assert.equal(String(Buffer.from((await reader.read()).value ?? [])), 'a\x1dqb');
  assert.equal((await reader.read()).done, true);
  await guest.finish(0);
  assert.equal(await done, 0);
});

test('a terminal is raw while the command runs, and restored; the window size is told', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: true, tty: true }, io);
  io.stdout.columns = 132;
  io.stdout.emit('resize');
  await guest.finish(3);
  assert.equal(await done, 3);
  assert.deepEqual(io.stdin.modes, [true, false]);
  assert.deepEqual(guest.told, ['size 80 24', 'size 132 24']);
});

test('the escape ends the machine and restores the terminal', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: true, tty: true }, io);
  io.stdin.write('\x1dq');
  assert.equal(await done, 137);
  assert.deepEqual(io.stdin.modes, [true, false]);
  assert.ok(guest.told.includes('kill'));
});

test('the terminal is restored when the guest crashes', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: true, tty: true }, io);
  await guest.finish(undefined);
  await assert.rejects(done, /killed/);
  assert.deepEqual(io.stdin.modes, [true, false]);
});

test('signals go to the command; the third ends the machine', async () => {
  const guest = new FakeGuest();
  const before = process.listenerCount('SIGQUIT');
  const done = attach(guest, { interactive: false, tty: false }, streams());
  for (let i = 0; i < 3; i++) process.emit('SIGQUIT', 'SIGQUIT');
  assert.equal(await done, 137);
  assert.deepEqual(guest.told, ['signal QUIT', 'signal QUIT', 'kill']);
  assert.equal(process.listenerCount('SIGQUIT'), before);
});

test('a guest that stops reading holds our input back', async () => {
  const guest = new FakeGuest();
  const io = streams();
  const done = attach(guest, { interactive: true, tty: false }, io);
  io.stdin.write(Buffer.alloc(10));
  io.stdin.write(Buffer.alloc(10));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(io.stdin.isPaused(), true);
  const reader = guest.input.readable.getReader();
  assert.equal((await reader.read()).value?.length, 10);
  assert.equal((await reader.read()).value?.length, 10);
  await guest.finish(0);
  await done;
});
