/** `viv doctor`: which engine, why, and what is missing, one line per fact. */
import { accessSync, constants, existsSync } from 'node:fs';
import { vivVersion } from './version.ts';

interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'note' | 'missing';
  readonly text: string;
}

export async function runDoctor(json: boolean): Promise<number> {
  const findings: Finding[] = [runtime(), kvmDevice()];
  if (json) console.log(JSON.stringify({ viv: vivVersion(), findings }));
  else
    for (const { name, state, text } of findings) console.log(`${state.padEnd(8)}${name.padEnd(10)}${text}`);
  return findings.some((finding) => finding.state === 'missing') ? 1 : 0;
}

function runtime(): Finding {
  return {
    name: 'runtime',
    state: 'ok',
    text: `Node ${process.versions.node} (V8 ${process.versions.v8}), ${process.execPath}`,
  };
}

function kvmDevice(): Finding {
  const name = 'kvm';
  if (!existsSync('/dev/kvm'))
    return { name, state: 'note', text: 'no /dev/kvm here; this version has no kvm engine yet' };
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return { name, state: 'note', text: '/dev/kvm can be opened, but this version has no kvm engine yet' };
  } catch {
    return {
      name,
      state: 'note',
      text: '/dev/kvm may not be opened by this user; this version has no kvm engine yet',
    };
  }
}
