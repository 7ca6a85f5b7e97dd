/** Runs npm in tests, quietly and without the settings of the npm that runs the tests. */
import { spawnSync } from 'node:child_process';

export interface NpmResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function npm(cwd: string, args: readonly string[]): NpmResult {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    // `npm test` hands its own settings down, among them the folder it works in.
    const inherited =
      /^npm_(lifecycle|package|execpath|node|command|config_(local_prefix|prefix|globalconfig|init_module|node_gyp))/;
    if (!inherited.test(name) && name !== 'INIT_CWD') env[name] = value;
  }
  const command = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const run = spawnSync(command, [...args], {
    cwd,
    env,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    shell: process.platform === 'win32',
  });
  return { status: run.status, stdout: run.stdout, stderr: run.stderr };
}
