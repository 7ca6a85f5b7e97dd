/** Which engine runs a machine, and why: always said, never guessed silently. */
import { VmError } from '../base/errors.ts';

export type EngineWish = 'auto' | 'soft' | 'kvm';

export interface EngineChoice {
  readonly name: 'soft';
  readonly why: string;
}

const NO_KVM = 'the kvm engine is not part of this release';

/** @throws VmError ENGINE_UNAVAILABLE when the wish cannot be met: an explicit choice never falls back */
export function chooseEngine(wish: EngineWish): EngineChoice {
  switch (wish) {
    case 'soft':
      return { name: 'soft', why: 'asked for' };
    case 'auto':
      return { name: 'soft', why: NO_KVM };
    case 'kvm':
      throw new VmError('ENGINE_UNAVAILABLE', {
        message: `The kvm engine cannot be used: ${NO_KVM}`,
        remedy: 'Leave --engine out, or use --engine soft',
      });
  }
}
