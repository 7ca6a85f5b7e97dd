/** What the run loop is written with: its locals, and shorthands of WebAssembly's instructions. */
import { Bytes } from '../../wasm/module.ts';

export const CPU: number = 0;
export const REC_LOCAL: number = 1;
export const RIP_LOCAL: number = 2;
export const ENTRY_LOCAL: number = 3;
/** 1 = the region at RIP handed its instruction to the interpreter: do not enter it this time. */
export const BYPASS_LOCAL: number = 4;
export const HEAT_LOCAL: number = 5;
/** The direct branch whose link gets the block that is looked up; 0 = none. */
export const LINK_LOCAL: number = 6;
export const FIRST_POOL: number = 7;

/** Instruction shorthands of the run loop. */
export class Assembler {
  readonly out: Bytes = new Bytes();

  /** Opcodes without operands, by their bytes. */
  op(...bytes: number[]): void {
    this.out.put(...bytes);
  }
  #indexed(opcode: number, index: number): void {
    this.out.byte(opcode);
    this.out.u32(index);
  }
  get(local: number): void {
    this.#indexed(0x20, local);
  }
  set(local: number): void {
    this.#indexed(0x21, local);
  }
  tee(local: number): void {
    this.#indexed(0x22, local);
  }
  br(depth: number): void {
    this.#indexed(0x0c, depth);
  }
  call(index: number): void {
    this.#indexed(0x10, index);
  }
  i32(value: number): void {
    this.out.byte(0x41);
    this.out.s32(value);
  }
  #memory(opcode: number, offset: number): void {
    this.out.put(opcode, 0);
    this.out.u32(offset);
  }
  load(offset: number): void {
    this.#memory(0x28, offset);
  }
  load64(offset: number): void {
    this.#memory(0x29, offset);
  }
  load16u(offset: number): void {
    this.#memory(0x2f, offset);
  }
  store(offset: number): void {
    this.#memory(0x36, offset);
  }
  store64(offset: number): void {
    this.#memory(0x37, offset);
  }
}
