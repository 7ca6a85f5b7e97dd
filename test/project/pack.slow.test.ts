/** Packs every package, installs the tarballs into an empty folder, and uses what is there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { npm } from '../support/npm.ts';

const root = join(import.meta.dirname, '../..');
const PACKAGES = ['vm', 'api', 'daemon', 'cli'];

describe('the published packages', () => {
  const folder = mkdtempSync(join(tmpdir(), 'viv-pack-'));
  const contents = new Map<string, readonly string[]>();

  before(() => {
    const tarballs: string[] = [];
    for (const name of PACKAGES) {
      const packed = npm(join(root, 'packages', name), ['pack', '--json', '--pack-destination', folder]);
      assert.equal(packed.status, 0, packed.stderr);
      const parsed: unknown = JSON.parse(packed.stdout);
      const [entry] = (Array.isArray(parsed) ? parsed : Object.values(parsed as object)) as {
        filename: string;
        files: { path: string }[];
      }[];
      assert.ok(entry !== undefined);
      tarballs.push(`./${entry.filename}`);
      contents.set(
        name,
        entry.files.map((file) => file.path),
      );
    }
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    const installed = npm(folder, ['install', '--no-audit', '--no-fund', ...tarballs]);
    assert.equal(installed.status, 0, installed.stderr);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  test('hold built JavaScript, declarations and a licence, and no sources or tests', () => {
    for (const name of PACKAGES) {
      const files = contents.get(name) ?? [];
      assert.ok(files.includes('LICENSE'), `${name} has no licence`);
      assert.ok(
        files.some((file) => /^dist\/.*\.d\.ts$/.test(file)),
        `${name} has no declarations`,
      );
      const unwanted = files.filter((file) => /(?<!\.d)\.ts$|\.test\.|tsconfig/.test(file));
      assert.deepEqual(unwanted, [], name);
    }
  });

  test('run no script when they are installed', () => {
    for (const name of PACKAGES) {
      const manifest: unknown = JSON.parse(
        readFileSync(join(root, 'packages', name, 'package.json'), 'utf8'),
      );
      const scripts = Object.keys((manifest as { scripts?: object }).scripts ?? {});
      assert.deepEqual(
        scripts.filter((script) => /install|prepare/.test(script)),
        [],
        name,
      );
    }
  });

  test('bring the command viv', () => {
    assert.ok(readdirSync(join(folder, 'node_modules/.bin')).includes('viv'));
    const version = viv(['version']);
    assert.match(version.stdout, /^viv \d+\.\d+\.\d+\n$/);
    const doctor = viv(['doctor', '--json']);
    const found: unknown = JSON.parse(doctor.stdout);
    assert.ok(Array.isArray((found as { findings: unknown }).findings), doctor.stdout + doctor.stderr);
  });

  test('bring the library', () => {
    const script =
      "const v = await import('vivarium'); console.log(new v.VmError('USAGE', { message: 'm' }).title);";
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.equal(run.stdout, 'The command line is not understood\n', run.stderr);
  });

  test('boot Debian from there', () => {
    const run = viv(['run', '--rm', 'busybox', '--', 'sh', '-c', 'uname -r; exit 7']);
    assert.match(run.stdout, /^6\.1\.\S+-cloud-amd64\n$/, run.stderr);
    assert.equal(run.status, 7);
  });

  function viv(args: readonly string[]): { stdout: string; stderr: string; status: number | null } {
    // With the Node on the PATH, as a user has it: the launcher finds the pinned one itself.
    return spawnSync(join(folder, 'node_modules/.bin/viv'), [...args], { cwd: folder, encoding: 'utf8' });
  }
});
