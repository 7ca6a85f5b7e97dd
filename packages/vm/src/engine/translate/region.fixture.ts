/** For tests of the vCPU's side of regions: a vCPU in 64-bit mode, and modules made by hand. */
import { layoutMemory } from '../../machine/layout.ts';
import type { CompileThread, TranslateOptions } from '../../machine/vcpu.ts';
import { wasm, type WasmModule } from '../../wasm/api.ts';
import { Bytes, ModuleBuilder } from '../../wasm/module.ts';
import * as S from '../../x86/state.ts';
import { generateInterpreter } from '../interp/generate.ts';
import { Interpreter } from '../interpreter.ts';
import { REGION_STATUS, type RegionPage, type RegionRange, type TranslatedModule } from './region.ts';
import type { Translate } from './region-tier.ts';

const interpreter: WasmModule = new wasm.Module(generateInterpreter({ min: 1, max: 65536 }));

export interface RegionMachine {
  readonly vcpu: Interpreter;
  readonly view: DataView;
  readonly u8: Uint8Array;
  /** Host address of guest-physical 0. */
  readonly ram: number;
  load(at: number, code: readonly number[]): void;
  /** Runs from `rip` until a fault or the end of the budget; gives what is left of RAX. */
  run(rip: bigint, budget?: number): string;
  register(n: number): bigint;
  setRegister(n: number, value: bigint): void;
}

/** 16 MiB of RAM, paging off. */
export function regionMachine(
  options: TranslateOptions,
  translate: Translate,
  compiler?: CompileThread,
): RegionMachine {
  const layout = layoutMemory(16 << 20);
  const memory = new wasm.Memory({ initial: layout.wasmPages, maximum: layout.wasmPages, shared: true });
  const view = new DataView(memory.buffer);
  const u8 = new Uint8Array(memory.buffer);
  let ns = 0;
  const vcpu = new Interpreter({
    memory,
    module: interpreter,
    layout,
    index: 0,
    hooks: { mmioRead: () => 0, mmioWrite: () => {}, system: () => 0, clockNs: () => 0, watch: () => {} },
    translation: { options, translate, nowNs: () => ns++, compiler },
  });
  const cs = vcpu.area + S.SEGMENTS + S.SEG.CS * S.SEGMENT_STRIDE;
  view.setUint32(cs + S.SEG_ATTRIBUTES, 0xa09b, true);
  view.setBigUint64(vcpu.area + S.EFER, 0x500n, true);
  vcpu.modeChanged();
  return {
    vcpu,
    view,
    u8,
    ram: layout.ramOffset,
    load: (at, code) => u8.set(code, layout.ramOffset + at),
    run: (rip, budget = 100_000) => {
      view.setUint32(vcpu.area + S.FAULT, 0, true);
      vcpu.rip = rip;
      vcpu.budget = budget;
      return vcpu.run();
    },
    register: (n) => view.getBigUint64(vcpu.area + S.GPR + n * 8, true),
    setRegister: (n, value) => view.setBigUint64(vcpu.area + S.GPR + n * 8, value, true),
  };
}

export interface HandMade {
  readonly rip: bigint;
  /** Host address of the entry. */
  readonly host: number;
  readonly mode: number;
  readonly ranges: readonly RegionRange[];
  readonly pages?: readonly RegionPage[];
  /** Added to RCX on entry. */
  readonly add: number;
  /** Added to RIP: 0 with status INTERPRET leaves the entry's own instruction. */
  readonly skip: number;
  readonly status?: number;
  readonly codeBytes?: number;
  readonly level?: 1 | 2;
  readonly members?: readonly number[];
  readonly instructions?: number;
}

/** Regions that add to RCX and RIP, take one instruction off BUDGET and leave. */
export function handMade(regions: readonly HandMade[]): TranslatedModule {
  const module = new ModuleBuilder();
  regions.forEach((region, i) => {
    const code = new Bytes();
    const bump = (offset: number, wide: boolean, by: number): void => {
      code.put(0x20, 0, 0x20, 0, wide ? 0x29 : 0x28, 0);
      code.u32(offset);
      code.byte(wide ? 0x42 : 0x41);
      code.s32(by);
      code.put(wide ? 0x7c : 0x6a, wide ? 0x37 : 0x36, 0);
      code.u32(offset);
    };
    bump(S.GPR + 8, true, region.add);
    bump(S.RIP, true, region.skip);
    bump(S.BUDGET, false, -1);
    code.put(0x41, region.status ?? REGION_STATUS.CHAIN);
    const index = module.reserve();
    module.body(index, {
      name: `r${i}`,
      params: ['i32'],
      result: 'i32',
      locals: [],
      code: code.bytes().slice(),
    });
    module.export(`r${i}`, index);
  });
  return {
    bytes: module.write({ min: 1, max: 65536 }),
    imports: [],
    regions: regions.map(
      ({
        rip,
        host,
        mode,
        ranges,
        level = 1,
        pages = [],
        members = [],
        instructions = 1,
        codeBytes = 50,
      }) => ({
        rip,
        host,
        mode,
        ranges,
        pages,
        level,
        members,
        blocks: 1,
        instructions,
        codeBytes,
      }),
    ),
  };
}
