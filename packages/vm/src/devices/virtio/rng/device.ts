/** The entropy device: fills writable buffers from the randomness port. */
import type { Randomness } from '../../../base/ports.ts';
import type { VirtioModel, VirtioTransport } from '../model.ts';
import { MAX_REQUEST_BYTES, RNG_DEVICE_ID } from './regs.ts';
import type { RngState } from './state.ts';

/** Requests of one turn. */
const BURST = 16;

export class Rng implements VirtioModel {
  readonly deviceId: number = RNG_DEVICE_ID;
  readonly features: number = 0;
  readonly queueSizes: readonly number[] = [64];
  readonly #randomness: Randomness;
  #transport: VirtioTransport | undefined;

  constructor(randomness: Randomness) {
    this.#randomness = randomness;
  }

  config(): Uint8Array {
    return new Uint8Array(0);
  }

  activate(transport: VirtioTransport): void {
    this.#transport = transport;
  }

  notify(index: number): void {
    const transport = this.#transport;
    if (transport === undefined) return;
    for (let i = 0; i < BURST; i++) {
      const chain = transport.pop(index);
      if (chain === undefined) return;
      const bytes = new Uint8Array(Math.min(chain.writableBytes, MAX_REQUEST_BYTES));
      this.#randomness.fill(bytes);
      transport.push(index, chain.head, chain.write(0, bytes));
    }
    transport.again(index);
  }

  reset(): void {
    this.#transport = undefined;
  }

  async quiesce(): Promise<void> {}

  save(): RngState {
    return { kind: 'virtio-rng', version: 1 };
  }

  load(): void {}
}
