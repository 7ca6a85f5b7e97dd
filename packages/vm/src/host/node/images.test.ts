/** What the entry point adds to `image/busybox.ts`: the process, the order of the settings, the places. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DebianMirror } from '../../../../../test/support/debian-mirror.ts';
import type { Progress } from '../../image/progress.ts';
import { prepareBusybox } from './images.ts';
import { storeMirror } from './make-image.ts';
import { places } from './places.ts';

describe('places', () => {
  it('are under VIV_HOME, or where the system keeps such things', () => {
    const cache = (env: Record<string, string>, platform: NodeJS.Platform): string =>
      places(env, platform).cache;
    assert.equal(cache({ VIV_HOME: '/v', XDG_CACHE_HOME: '/x' }, 'linux'), '/v/cache');
    assert.equal(cache({ HOME: '/h', XDG_CACHE_HOME: '/x' }, 'linux'), '/x/vivarium');
    assert.equal(cache({ HOME: '/h', VIV_HOME: '', XDG_CACHE_HOME: '' }, 'linux'), '/h/.cache/vivarium');
    assert.equal(cache({ HOME: '/h' }, 'darwin'), '/h/Library/Caches/vivarium');
    assert.equal(places({ VIV_HOME: '/v' }).configFile, '/v/config.json');
    assert.equal(places({ HOME: '/h' }, 'linux').configFile, '/h/.config/vivarium/config.json');
  });
});

describe('prepareBusybox from the entry point', () => {
  let home: string;
  let first: DebianMirror;
  let second: DebianMirror;
  const before = { VIV_HOME: process.env['VIV_HOME'], VIV_DEBIAN_MIRROR: process.env['VIV_DEBIAN_MIRROR'] };

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'viv-images-'));
    process.env['VIV_HOME'] = home;
    delete process.env['VIV_DEBIAN_MIRROR'];
    first = await DebianMirror.start();
    second = await DebianMirror.start();
  });
  afterEach(async () => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    rmSync(home, { recursive: true });
  });

  it('passes errors and progress on from the process that makes the image', async () => {
    const progress: Progress[] = [];
    const made = prepareBusybox({
      mirror: `${first.origin}/debian`,
      onProgress: (update) => progress.push(update),
    });
    await assert.rejects(made, { name: 'VmError', code: 'DOWNLOAD_FAILED', message: /neither/ });
    assert.ok(progress.some((update) => update.phase === 'index' && update.what.includes(first.origin)));
    assert.deepEqual(readdirSync(join(home, 'cache/sha256')), []);
  });

  it('takes the mirror from the option, the environment, the configuration file, in this order', async () => {
    const asked = async (mirror?: string): Promise<string[]> => {
      first.requests.length = 0;
      second.requests.length = 0;
      await assert.rejects(prepareBusybox({ mirror }), { code: 'DOWNLOAD_FAILED' });
      const used = (requests: readonly string[]): string[] =>
        requests[0] === undefined ? [] : [requests[0]];
      return [...used(first.requests), ...used(second.requests)];
    };
    await storeMirror(`${first.origin}/stored`);
    assert.deepEqual(await asked(), ['/stored/dists/bookworm/InRelease']);
    process.env['VIV_DEBIAN_MIRROR'] = `${second.origin}/environment`;
    assert.deepEqual(await asked(), ['/environment/dists/bookworm/InRelease']);
    assert.deepEqual(await asked(`${first.origin}/option/`), ['/option/dists/bookworm/InRelease']);
  });

  it('keeps the other settings when it stores a mirror, and names a file that it cannot read', async () => {
    const config = join(home, 'config.json');
    writeFileSync(config, '{"other": 1}');
    await storeMirror('http://mirror.test/debian');
    const stored: unknown = JSON.parse(readFileSync(config, 'utf8'));
    assert.deepEqual(stored, { other: 1, debianMirror: 'http://mirror.test/debian' });
    writeFileSync(config, 'nonsense');
    await assert.rejects(prepareBusybox(), { code: 'USAGE', message: /config\.json/ });
  });
});
