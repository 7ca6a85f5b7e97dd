/**
 * Real programs print in the guest what they print on the host: Debian's own binaries, byte for byte. (The C
 * programs and one script of everyday tools: test/guest-c.)
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { VM } from '../../packages/vm/src/node.ts';
import { hostFiles } from '../guest-c/programs.ts';
import { nativeAvailable } from '../oracle/native.ts';
import { testImage } from '../support/image.ts';
import { missing } from '../support/needs.ts';
import { testTier } from '../support/tier.ts';
import { GUEST_ROOT, perlFiles, userland } from './userland.ts';

const jobs = join(import.meta.dirname, 'jobs');
const PROGRAMS = ['gzip', 'sha256sum', 'bc', 'mawk', 'gawk', 'sort', 'perl'];
/** What the scripts use besides. */
const TOOLS = (
  'sh b2sum base64 cat cksum cmp comm head join ls md5sum rm sed sha1sum sha224sum sha384sum sha512sum sum tail ' +
  'tr uniq wc gunzip'
).split(' ');
const PERL_MODULES =
  'List::Util POSIX Digest::SHA Digest::MD5 bigint Storable Data::Dumper MIME::Base64 Encode Encode::Unicode'.split(
    ' ',
  );
/** The C programs that are also compiled. */
const COMPILED = ['integer', 'signals'];
/** glibc chooses functions by the CPU's features, and those with FMA round differently: the guest's CPU has none. */
const environment = { GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F' };

const needs = {
  skip: nativeAvailable() ? missing(...PROGRAMS, 'shasum') : 'needs x86-64 Linux and gcc',
  timeout: 240_000,
};
let folder: string;
let vm: VM;
let started = false;

before(
  async () => {
    if (needs.skip !== false) return;
    folder = mkdtempSync(join(tmpdir(), 'vivarium-programs-'));
    const image = await testImage();
    const more = userland(guestFiles(), ['proc', 'dev', 'tmp']);
    const initrd = async (): Promise<Uint8Array> => Buffer.concat([image.initrd, more]);
    const translate = testTier();
    vm = await VM.start({ kernel: image.kernel, initrd, memory: '512m', ...(translate && { translate }) });
    started = true;
    await vm.ready;
    const { exitCode } = await vm.exec([
      'sh',
      '-c',
      `mount -o bind /dev ${GUEST_ROOT}/dev && mount -o bind /proc ${GUEST_ROOT}/proc`,
    ]);
    assert.equal(exitCode, 0);
  },
  { timeout: 120_000 },
);

after(async () => {
  if (needs.skip !== false) return;
  if (started) await vm.powerOff();
  rmSync(folder, { recursive: true });
});

const compiler = (): string =>
  realpathSync(spawnSync('gcc', ['-print-prog-name=cc1'], { encoding: 'utf8' }).stdout.trim());

function guestFiles(): [string, string][] {
  mkdirSync(join(folder, 'sources'));
  const scripts = readdirSync(jobs).map((name): [string, string] => [join('/jobs', name), join(jobs, name)]);
  const sources = COMPILED.map((name): [string, string] => {
    const text = spawnSync('gcc', ['-E', '-P', join(jobs, '../../guest-c', `${name}.c`)]).stdout;
    const file = join(folder, 'sources', `${name}.i`);
    writeFileSync(file, text);
    return [join('/sources', basename(file)), file];
  });
  return [
    ...hostFiles([...PROGRAMS, ...TOOLS, compiler()]),
    ...perlFiles(PERL_MODULES),
    ...scripts,
    ...sources,
  ];
}

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function onHost(argv: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(argv[0] as string, argv.slice(1), {
    encoding: 'utf8',
    input: '',
    env: { ...process.env, ...environment },
    maxBuffer: 1 << 26,
  });
  return { exitCode: status, stdout, stderr };
}

async function inGuest(argv: readonly string[]): Promise<Outcome> {
  const { exitCode, stdout, stderr } = await vm.exec(['chroot', GUEST_ROOT, ...argv]);
  return { exitCode, stdout, stderr };
}

/** The vCPU's thread tells its count when it stops. */
async function instructions(): Promise<bigint> {
  await vm.pause();
  await vm.resume();
  return vm.retired;
}

async function compare(
  host: readonly string[],
  guest: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const began = performance.now();
  const expected = onHost(host);
  const hostSeconds = (performance.now() - began) / 1000;
  const retired = await instructions();
  const between = performance.now();
  const found = await inGuest(guest);
  const guestSeconds = (performance.now() - between) / 1000;
  const count = Number((await instructions()) - retired) / 1e6;
  say(
    `host ${hostSeconds.toFixed(2)} s, guest ${guestSeconds.toFixed(2)} s, ` +
      `${count.toFixed(0)} M instructions`,
  );
  assert.equal(expected.exitCode, 0, expected.stderr);
  assert.ok(expected.stdout.length > 20);
  assert.equal(found.exitCode, 0, found.stderr);
  assert.deepEqual(found.stdout.split('\n'), expected.stdout.split('\n'));
  assert.deepEqual(found, expected);
}

/** Runs a job script on both sides, each in an empty folder. */
async function job(
  name: string,
  say: (line: string) => void,
  host: string[] = [],
  guest = host,
): Promise<void> {
  const work = join(folder, name);
  mkdirSync(work);
  assert.equal((await vm.exec(['mkdir', `${GUEST_ROOT}/tmp/${name}`])).exitCode, 0);
  await compare(
    ['/bin/sh', join(jobs, `${name}.sh`), work, ...host],
    ['/bin/sh', `/jobs/${name}.sh`, `/tmp/${name}`, ...guest],
    say,
  );
}

for (const name of PROGRAMS) test(name, needs, (t) => job(name, (line) => t.diagnostic(line)));

test('the C compiler', needs, async (t) => {
  const say = (line: string): void => t.diagnostic(line);
  await job('compiler', say, [compiler(), join(folder, 'sources')], [compiler(), '/sources']);
});
