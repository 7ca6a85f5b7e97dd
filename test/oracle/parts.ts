/** What the tests of the soft engine are built from: one compiled interpreter per process, the portable model. */
import type { TranslateOptions } from '../../packages/vm/src/engine/translate/region.ts';
import { createSoftVcpu } from '../../packages/vm/src/engine/vcpu.ts';
import { generateInterpreter } from '../../packages/vm/src/engine/interp/generate.ts';
import { wasm, type WasmModule } from '../../packages/vm/src/wasm/api.ts';
import { portableModel } from '../../packages/vm/src/x86/cpuid.ts';
import type { EngineParts } from './engine.ts';

let compiled: WasmModule | undefined;

export function interpreterModule(): WasmModule {
  compiled ??= new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));
  return compiled;
}

/** @param translate tiers; the interpreter alone unless told otherwise */
export function softEngine(translate?: TranslateOptions): EngineParts {
  return {
    createSoftVcpu,
    module: interpreterModule(),
    model: portableModel(1),
    options: translate === undefined ? {} : { translate },
  };
}
