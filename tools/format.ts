/** `npm run format`: writes the whole tree in the one format. */
import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';

const root: string = dirname(import.meta.dirname);
const run = spawnSync(process.execPath, ['node_modules/@biomejs/biome/bin/biome', 'format', '--write', '.'], {
  cwd: root,
  stdio: 'inherit',
});
process.exitCode = run.status ?? 1;
