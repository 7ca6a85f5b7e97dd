/** `viv doctor`: which engine, why, what is missing, and which walls stand, one line per fact. */
import { accessSync, constants, existsSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { chooseEngine } from '@vivarium/vm';
import { vivVersion } from './version.ts';

interface Finding {
  readonly name: string;
  readonly state: 'ok' | 'note' | 'missing';
  readonly text: string;
}

/** Generated at build time and packed; the same place from src and dist of the library. */
const INTERPRETER = '../build/interp.wasm';

export async function runDoctor(json: boolean): Promise<number> {
  const findings = [engine(), interpreter(), kvmDevice(), runtime(), host(), walls()];
  if (json) console.log(JSON.stringify({ viv: vivVersion(), findings }));
  else
    for (const { name, state, text } of findings) console.log(`${state.padEnd(8)}${name.padEnd(13)}${text}`);
  return findings.some((finding) => finding.state === 'missing') ? 1 : 0;
}

function engine(): Finding {
  const { name, why } = chooseEngine('auto');
  return { name: 'engine', state: 'ok', text: `${name}: ${why}` };
}

function interpreter(): Finding {
  const name = 'interpreter';
  const file = new URL(INTERPRETER, import.meta.resolve('@vivarium/vm'));
  if (existsSync(file)) return { name, state: 'ok', text: 'the generated WebAssembly module is there' };
  return {
    name,
    state: 'missing',
    text: `${file.pathname} is missing: type npm run build, or reinstall the package`,
  };
}

function runtime(): Finding {
  const { node, v8 } = process.versions;
  return { name: 'runtime', state: 'ok', text: `Node ${node} (V8 ${v8}), ${process.execPath}` };
}

function host(): Finding {
  const gib = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
  const text = `${process.platform}-${process.arch}, ${availableParallelism()} CPUs, ${gib(freemem())} of ${gib(totalmem())} GiB memory free`;
  return { name: 'host', state: 'ok', text };
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

function walls(): Finding {
  const text =
    'guest code runs inside WebAssembly and devices check all guest input; no sandbox of the operating system yet';
  return { name: 'walls', state: 'note', text };
}
