/** Names of addresses. */

export interface Symbol {
  readonly address: bigint;
  readonly name: string;
  /** 0: up to the next symbol. */
  readonly bytes: number;
}

/** Bytes after the last symbol of unknown size that are still said to be its own. */
const LAST_BYTES = 0x10000n;

/** Symbols in the order of their addresses. */
export class SymbolTable {
  readonly #sorted: readonly Symbol[];

  constructor(symbols: Iterable<Symbol>) {
    this.#sorted = [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  }

  get size(): number {
    return this.#sorted.length;
  }

  /** The symbol that `address` lies in; of several at one place the first that was given. */
  at(address: bigint): Symbol | undefined {
    const sorted = this.#sorted;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sorted[middle] as Symbol).address <= address) low = middle + 1;
      else high = middle;
    }
    let found = sorted[low - 1];
    if (found === undefined) return undefined;
    const end = found.bytes > 0 ? found.address + BigInt(found.bytes) : this.#nextAfter(low);
    if (address >= end) return undefined;
    for (let i = low - 2; i >= 0 && sorted[i]?.address === found.address; i--) found = sorted[i] as Symbol;
    return found;
  }

  #nextAfter(index: number): bigint {
    const next = this.#sorted[index];
    return next === undefined ? (this.#sorted[index - 1] as Symbol).address + LAST_BYTES : next.address;
  }

  named(name: string): Symbol | undefined {
    return this.#sorted.find((symbol) => symbol.name === name);
  }
}
