/** `npm start`: a shell in a machine on a terminal; otherwise boot, say what ran, power off. */
import { runImage } from './run.ts';

export async function startDemo(): Promise<number> {
  const terminal = process.stdin.isTTY && process.stdout.isTTY;
  return runImage('busybox', [], { interactive: terminal, tty: terminal });
}
