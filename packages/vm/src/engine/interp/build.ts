/** Writes the interpreter to packages/vm/build/interp.wasm. Run by the set-up script: `node …/build.ts`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { generateInterpreter } from './generate.ts';

const folder = new URL('../../../build/', import.meta.url);
mkdirSync(folder, { recursive: true });
const bytes = generateInterpreter({ min: 1, max: 65536 });
writeFileSync(new URL('interp.wasm', folder), bytes);
process.stdout.write(`interp.wasm: ${Math.round(bytes.length / 1024)} KiB\n`);
