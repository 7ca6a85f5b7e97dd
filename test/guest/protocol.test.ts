/** The guest's side of docs/guest-protocol.md, booted by PVH under QEMU with Debian's cloud kernel. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { quoteWord } from '../../packages/vm/src/vm/guest-protocol.ts';
import { type ImageFiles, testImageFiles } from '../support/image.ts';
import { missing } from '../support/needs.ts';
import { QEMU, QemuVm } from './qemu.ts';

const TIMEOUT_MS = 300_000;

describe('the guest under QEMU', { skip: missing(QEMU), timeout: TIMEOUT_MS }, () => {
  let image: ImageFiles;
  let vm: QemuVm;

  before(async () => {
    image = await testImageFiles();
    vm = new QemuVm(image);
    const ready = await vm.ports.control.expect(/^ready (\d+) (.*)\n/);
    assert.deepEqual(ready.slice(1), ['1', image.release]);
  });
  after(async () => {
    await vm[Symbol.asyncDispose]();
    image[Symbol.dispose]();
  });

  const send = (mode: string, ...argv: string[]): Promise<void> =>
    vm.control(`argv ${argv.map(quoteWord).join(' ')}`, mode);
  const exitCode = async (): Promise<number> => Number((await vm.ports.control.expect(/exit (\d+)\n/))[1]);
  const started = async (): Promise<string> =>
    (await vm.ports.control.expect(/started (\d+)\n/))[1] as string;
  const run = async (...argv: string[]): Promise<number> => {
    await send('run pipe', ...argv);
    return exitCode();
  };
  const shell = (script: string): Promise<number> => run('sh', '-c', script);

  it('keeps standard output and error apart and passes the exit code on', async () => {
    assert.equal(await shell('uname -r; echo wrong >&2; exit 7'), 7);
    await vm.ports.stdout.expect(new RegExp(`${image.release}\n`));
    await vm.ports.stderr.expect(/^wrong\n/);
  });

  it('lets a command open its standard streams again by name', async () => {
    assert.equal(await shell('echo out >/dev/stdout; echo err >/dev/stderr; : </dev/stdin && echo in'), 0);
    await vm.ports.stdout.expect(/out\nin\n/);
    await vm.ports.stderr.expect(/err\n/);
  });

  it('passes any byte in arguments, environment and working directory', async () => {
    const bytes = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1)).join('');
    await vm.control(`cwd ${quoteWord("/tmp/it's")}`);
    assert.equal(await run('true'), 126);
    await vm.ports.stderr.expect(/viv: .*cannot change/);
    await vm.control(`env ${quoteWord(`BYTES=${bytes}`)} 'N=1'`, "cwd '/tmp'");
    assert.equal(await shell('printf "<%s>" "$PWD" "$N" "$BYTES"'), 0);
    const expected = `</tmp><1><${bytes}>`;
    await vm.ports.stdout.expect(/<\/tmp>/);
    assert.equal(await run('printf', '<%s>', bytes, '', '$HOME `id` \\n'), 0);
    await vm.ports.stdout.expect(/<\$HOME `id` \\n>/);
    assert.ok(vm.ports.stdout.text.includes(expected));
    assert.ok(vm.ports.stdout.text.includes(`<${bytes}><><$HOME`));
  });

  it('gives 127 for what is not there, 126 for what cannot run, 128 + n for a signal', async () => {
    assert.equal(await run('nowhere'), 127);
    await vm.ports.stderr.expect(/viv: nowhere: not found\n/);
    assert.equal(await run('/nowhere'), 127);
    assert.equal(await run('/etc/passwd'), 126);
    await vm.ports.stderr.expect(/viv: \/etc\/passwd: permission denied\n/);
    assert.equal(await run('/etc'), 126);
    assert.equal(await shell('kill -9 $$'), 137);
  });

  it('delivers signals to the command, from the moment it has started', async () => {
    await send('run pipe', 'sleep', '1000');
    await started();
    await vm.control('signal INT');
    assert.equal(await exitCode(), 130);
    await send('run pipe', 'sh', '-c', 'trap "exit 9" TERM; echo trapped; while :; do sleep 1; done');
    await vm.ports.stdout.expect(/trapped\n/);
    await vm.control('signal TERM');
    assert.equal(await exitCode(), 9);
  });

  it('ends what a run leaves behind, and leaves it after an exec', async () => {
    const background = 'sleep 1000 >/dev/null 2>&1 & echo $!';
    assert.equal(await shell(background), 0);
    const first = (await vm.ports.stdout.expect(/(\d+)\n/))[1] as string;
    await send('exec pipe', 'sh', '-c', background);
    assert.equal(await exitCode(), 0);
    const second = (await vm.ports.stdout.expect(/(\d+)\n/))[1] as string;
    await send('exec pipe', 'sh', '-c', `kill -0 ${first} && exit 1; kill -0 ${second} || exit 2`);
    assert.equal(await exitCode(), 0);
    assert.equal(await shell(`kill -0 ${second}`), 0);
    assert.notEqual(await shell(`kill -0 ${second}`), 0);
  });

  it('returns when a background process still holds the output of a run', async () => {
    assert.equal(await shell('sleep 1000 & exit 3'), 3);
  });

  it('loses none of a large output', async () => {
    const before = vm.ports.stdout.text.length;
    assert.equal(await shell('head -c 3000000 /dev/zero | tr "\\0" y; echo end'), 0);
    await vm.ports.stdout.expect(/end\n/);
    assert.equal(vm.ports.stdout.text.length - before, 3_000_004);
  });

  it('answers lines it does not understand', async () => {
    await vm.control('dance', 'run pipe');
    await vm.ports.control.expect(/error unknown line: dance\nerror argv missing\n/);
  });

  it('runs a command on the terminal: size, window change, ^C, exit code', async () => {
    await vm.control("env 'TERM=vt100'", 'size 100 40');
    await send('run tty', 'sh');
    const type = async (line: string, answer: RegExp): Promise<void> => {
      await vm.ports.terminal.expect(/# /);
      await vm.ports.terminal.write(`${line}\r`);
      await vm.ports.terminal.expect(answer);
    };
    await type('tty; echo $TERM; stty size', /\/dev\/hvc0\r\nvt100\r\n40 100\r\n/);
    await type(`sh -c 'echo asleep; exec sleep 1000'`, /\nasleep\r\n/);
    await vm.ports.terminal.write('\x03');
    await type('echo "<$?>"', /\n<130>\r\n/);
    await type(
      `sh -c 'trap "stty size; exit 4" WINCH; echo armed; while :; do sleep 1; done'`,
      /\narmed\r\n/,
    );
    await vm.control('size 120 50', 'size x y');
    await vm.ports.control.expect(/error size\n/);
    await vm.ports.terminal.expect(/50 120\r\n/);
    await type('exit $?', /exit/);
    assert.equal(await exitCode(), 4);
    await send('run tty', 'nowhere');
    assert.equal(await exitCode(), 127);
    await vm.ports.terminal.expect(/viv: nowhere: not found\r\n/);
  });

  it('passes standard input on, and its end', async () => {
    await send('run pipe', 'sh', '-c', 'cat; echo "<end>"');
    await vm.ports.stdin.write('first\nsecond');
    await vm.ports.stdin.end();
    assert.equal(await exitCode(), 0);
    await vm.ports.stdout.expect(/first\nsecond<end>\n/);
  });

  it('powers off by the shell command', async () => {
    await send('run tty', 'sh');
    await vm.ports.terminal.expect(/# /);
    await vm.ports.terminal.write('poweroff\r');
    await vm.exited;
  });

  it('powers off by the control line and by the power button', async () => {
    await using first = new QemuVm(image);
    await first.ports.control.expect(/ready/);
    await first.control("argv 'sleep' '1000'", 'run pipe');
    await first.ports.control.expect(/started/);
    await first.control('poweroff');
    await first.exited;
    await using second = new QemuVm(image);
    await second.ports.control.expect(/ready/);
    await second.control("argv 'true'", 'run pipe');
    await second.ports.control.expect(/exit 0/);
    await second.ports.monitor.write('system_powerdown\n');
    await second.exited;
  });

  it('gives a shell on the serial console without ports', async () => {
    await using serial = new QemuVm({ ...image, ports: false, append: 'quiet' });
    await serial.ports.serial.expect(/# /);
    await serial.ports.serial.write('echo $((6 * 7)); exit\r');
    await serial.ports.serial.expect(/\n42\r\n/);
    await serial.exited;
  });
});
