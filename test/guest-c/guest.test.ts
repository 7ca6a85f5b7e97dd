/** The same programs on the host and in a guest of Debian's kernel on the soft engine: the same output. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { missing } from '../support/needs.ts';
import { testTier } from '../support/tier.ts';
import { viv } from '../support/viv.ts';
import { guestPrograms, hostFiles, outputOnHost, TOOLS, TOOLS_SCRIPT } from './programs.ts';

const native = {
  skip: process.arch === 'x64' ? missing('gcc', 'gencat', 'tar', ...TOOLS) : 'needs an x86-64 host',
};
const folder = mkdtempSync(join(tmpdir(), 'vivarium-guest-c-'));
after(() => rmSync(folder, { recursive: true }));

/** A raw disk whose content is an archive of `files` (guest path → host path). */
function diskOf(name: string, files: ReadonlyMap<string, string>): string {
  const stage = join(folder, name);
  for (const [inside, outside] of files) {
    const target = join(stage, inside);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(outside, target);
  }
  const disk = join(folder, `${name}.img`);
  const tar = spawnSync('tar', ['--format=ustar', '-C', stage, '-cf', disk, '.'], { encoding: 'utf8' });
  assert.equal(tar.status, 0, tar.stderr);
  return disk;
}

const usual = testTier();

async function inGuest(
  disk: string,
  script: string,
  tier: string | undefined = usual?.tier,
): Promise<string> {
  const unpack = 'mkdir -p /t && tar -x -C / -f /dev/vda && cd /t && export JIT_DISK=/dev/vda && ';
  const { code, stdout, stderr } = await viv([
    'run',
    '--rm',
    ...(tier === undefined ? [] : ['--translate', tier]),
    '-m',
    '512m',
    '--disk',
    disk,
    'busybox',
    '--',
    'sh',
    '-c',
    unpack + script,
  ]);
  assert.equal(code, 0, stderr + stdout);
  return stdout;
}

function programsDisk(): { disk: string; script: string; expected: string } {
  const programs = guestPrograms();
  return {
    disk: diskOf('programs', new Map(programs.map((p) => [`/t/${p.name}`, p.file]))),
    script: programs.map((p) => `echo "== ${p.name}"; ./${p.name} || echo "exit $?"`).join('; '),
    expected: programs.map((p) => `== ${p.name}\n${outputOnHost(p.file)}`).join(''),
  };
}

test('C programs: integer, x87, SSE, signals, threads, code that changes, 32-bit code', native, async () => {
  const { disk, script, expected } = programsDisk();
  assert.equal(await inGuest(disk, script), expected);
});

test('the C programs with hot code translated on the spot', native, async () => {
  const { disk, script, expected } = programsDisk();
  assert.equal(await inGuest(disk, script, 'sync'), expected);
});

test("Debian's gzip, sha256sum, bc, awk, sort and perl", native, async () => {
  const work = join(folder, 'host');
  mkdirSync(work);
  const files = hostFiles(TOOLS);
  files.set('/t/tools.sh', TOOLS_SCRIPT);
  const expected = outputOnHost('dash', [TOOLS_SCRIPT, work]);
  assert.equal(await inGuest(diskOf('tools', files), 'dash tools.sh /t'), expected);
});
