/** The interpreter's WebAssembly module: generated at build time, compiled once per process. */
import { readFile } from 'node:fs/promises';
import { VmError } from '../../base/errors.ts';

let compiled: Promise<WebAssembly.Module> | undefined;

async function compile(): Promise<WebAssembly.Module> {
  const file = new URL('../../../build/interp.wasm', import.meta.url);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new VmError('ENGINE_UNAVAILABLE', {
      message: `The soft engine's generated module is missing: ${file.pathname}`,
      remedy: 'In a clone, type: npm run build; otherwise install the package again',
      cause,
    });
  }
  return WebAssembly.compile(bytes);
}

export function loadInterpreter(): Promise<WebAssembly.Module> {
  compiled ??= compile().catch((error: unknown) => {
    compiled = undefined;
    throw error;
  });
  return compiled;
}
