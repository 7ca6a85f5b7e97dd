/** What the tests of the soft engine are built from: one compiled interpreter per process, the portable model. */
import type { Translate } from '../../packages/vm/src/engine/translate/region-tier.ts';
import type { TranslateOptions } from '../../packages/vm/src/machine/vcpu.ts';
import { translate as translateRegions } from '../../packages/vm/src/engine/translate/translate.ts';
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

/** @param options tiers; the interpreter alone unless told otherwise */
export function softEngine(options?: TranslateOptions, translate: Translate = translateRegions): EngineParts {
  return {
    createSoftVcpu: (o) => createSoftVcpu(o, translate),
    module: interpreterModule(),
    model: portableModel(1),
    options: options === undefined ? {} : { translate: options },
  };
}
