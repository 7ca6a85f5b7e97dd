/** `viv version --json`; without options the launcher has answered already (bin/version.js). */
import { readFileSync } from 'node:fs';

export function vivVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

export function printVersion(json: boolean): void {
  const viv = vivVersion();
  const { node, v8 } = process.versions;
  console.log(json ? JSON.stringify({ viv, node, v8 }) : `viv ${viv}`);
}
