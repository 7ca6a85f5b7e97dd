/** The stack as far transfers use it: current SS and stack pointer, words of the operand size. */
import { VECTOR } from '../../x86/ops.ts';
import * as S from '../../x86/state.ts';
import { type Cpu, MODE } from './cpu.ts';
import type { LinearMemory } from './linear.ts';

export class Stack {
  /** Where the next word is popped or pushed; nothing of the state moves until `commit`. */
  pointer = 0n;
  #base = 0n;
  #mask = 0n;
  readonly #cpu: Cpu;
  readonly #linear: LinearMemory;

  constructor(cpu: Cpu, linear: LinearMemory) {
    this.#cpu = cpu;
    this.#linear = linear;
  }

  begin(): void {
    const cpu = this.#cpu;
    this.#mask = cpu.stackMask;
    this.#base = cpu.codeMode === MODE.BITS_64 ? 0n : cpu.segmentBase(S.SEG.SS);
    this.pointer = cpu.gpr(4) & this.#mask;
    this.#linear.begin();
  }

  #address(): bigint {
    const address = this.#base + (this.pointer & this.#mask);
    return this.#cpu.codeMode === MODE.BITS_64 ? address : BigInt.asUintN(32, address);
  }

  pop(bytes: number): bigint {
    const value = this.#linear.read(this.#address(), bytes as 2 | 4 | 8, this.#linear.userAccess, VECTOR.SS);
    this.pointer += BigInt(bytes);
    return value;
  }

  push(bytes: number, value: bigint): void {
    this.pointer = (this.pointer - BigInt(bytes)) & this.#mask;
    const word = BigInt.asUintN(bytes * 8, value);
    this.#linear.write(this.#address(), bytes as 2 | 4 | 8, word, this.#linear.userAccess, VECTOR.SS);
  }

  commit(): void {
    this.#cpu.setStackPointer(this.pointer, this.#mask);
  }
}
