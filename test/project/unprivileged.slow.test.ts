/**
 * What a stranger does: a fresh clone, as a user without privileges, with an empty home, an environment that
 * holds only what reaching the network needs, and no standard input. Runs the short suite there.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasProgram, missing } from '../support/needs.ts';

const root = join(import.meta.dirname, '../..');
const NOBODY = 65534;

/** How a test host reaches package sources; none of it is ours. */
const KEPT =
  /^(PATH|CI|LANG|(https?|no|all)_proxy|npm_config_(registry|cafile|proxy|https_proxy|noproxy)|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|VIV_DEBIAN_MIRROR)$/i;

const isRoot = process.getuid?.() === 0;

// Not a skip: without root every test already runs as an unprivileged user.
if (isRoot && hasProgram('setpriv')) {
  test('the short suite passes in a fresh clone for an unprivileged user', { skip: missing('git') }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'viv-clone-'));
    try {
      const clone = join(folder, 'clone');
      const home = join(folder, 'home');
      mkdirSync(home);
      // The tree may belong to somebody else than the user who tests it. git believes only its user's settings here.
      writeFileSync(join(folder, '.gitconfig'), '[safe]\n\tdirectory = *\n');
      const gitEnv = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder };
      execFileSync('git', ['clone', '-q', '--no-hardlinks', root, clone], { env: gitEnv });
      // What was downloaded already: the cache goes by digest, and the mirror is spared.
      const downloads = join(root, '.cache/tests');
      if (existsSync(downloads)) cpSync(downloads, join(clone, '.cache/tests'), { recursive: true });
      execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, folder]);
      const env: NodeJS.ProcessEnv = { HOME: home };
      for (const [name, value] of Object.entries(process.env)) if (KEPT.test(name)) env[name] = value;
      const asNobody = [
        '--reuid',
        String(NOBODY),
        '--regid',
        String(NOBODY),
        '--clear-groups',
        '--no-new-privs',
      ];
      const run = spawnSync('setpriv', [...asNobody, 'sh', '-c', 'exec npm run test:short <&-'], {
        cwd: clone,
        env,
        encoding: 'utf8',
        maxBuffer: 2 ** 26,
      });
      assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
      assert.match(run.stdout, /^# fail 0$/m);
      const changed = execFileSync('git', ['-c', 'safe.directory=*', 'status', '--porcelain'], {
        cwd: clone,
        encoding: 'utf8',
      });
      assert.equal(changed, '', 'setting up and testing changed tracked files or left untracked ones');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
