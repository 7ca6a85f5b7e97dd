/** Runs the command `viv` of this clone as a user does: through its launcher, on the Node of the PATH. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface VivResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface VivOptions {
  /** Written to standard input, which then ends. Without it there is no standard input. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export const root: string = join(import.meta.dirname, '../..');

export async function viv(args: readonly string[], options: VivOptions = {}): Promise<VivResult> {
  const child = spawn('node', [join(root, 'bin/viv.js'), ...args], {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  // The guest may end before it has read everything.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input);
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}
