/**
 * One gdb connected to one machine (gdb manual, appendix E). Packets are handled one after the other; only an
 * interrupt overtakes. The machine is one process (the vCPU is thread 1).
 */
import type { Breakpoint, BreakpointKind } from '../machine/vcpu.ts';
import type { DebugTarget, StopReason } from './debug-target.ts';
import { parseRegister, REGISTERS, TARGET_XML, writeRegister } from './registers.ts';
import { frame, fromHex, PACKET_MAX, PacketReader, toHex, unescape } from './rsp.ts';

const OK = 'OK';
const BAD_PACKET = 'E16';
const BAD_ADDRESS = 'E0e';

/** Z packet number → what the engine watches. Software and hardware breakpoints are the same to it. */
const BREAKPOINT_KINDS: readonly BreakpointKind[] = ['execute', 'execute', 'write', 'access', 'access'];

type Handler = (gdb: GdbSession, rest: string) => Promise<string | undefined> | string | undefined;

function stopReply(reason: StopReason): string {
  switch (reason.kind) {
    case 'interrupted':
      return 'T02thread:1;';
    case 'step':
    case 'breakpoint':
      return 'T05thread:1;';
    case 'watchpoint':
      return `T05${reason.access === 'write' ? 'watch' : 'awatch'}:${reason.address.toString(16)};thread:1;`;
    case 'ended':
      return 'W00';
  }
}

export class GdbSession {
  readonly #target: DebugTarget;
  readonly #reader: PacketReader;
  readonly #send: (text: string) => void;
  readonly #breakpoints = new Map<string, Breakpoint>();
  #queue: Promise<void> = Promise.resolve();
  #closed = false;
  #stopped: StopReason = { kind: 'step' };

  /** @param send takes Latin-1 text for the wire */
  constructor(target: DebugTarget, send: (text: string) => void) {
    this.#target = target;
    this.#send = send;
    this.#reader = new PacketReader(
      {
        packet: (data) => this.#enqueue(() => this.#packet(data)),
        interrupt: () => this.#interrupt(),
      },
      send,
    );
  }

  /** Stops the machine, as gdb expects of a target it has just attached to. */
  attach(): void {
    this.#enqueue(async () => this.#target.interrupt());
  }

  feed(bytes: Uint8Array): void {
    this.#reader.feed(bytes);
  }

  /** The connection is gone: the machine runs on. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A packet that waits for the machine to stop comes to its end, then the machine runs on.
    await this.#target.interrupt();
    await this.#queue;
    await this.#target.detach();
  }

  #enqueue(work: () => Promise<void>): void {
    this.#queue = this.#queue.then(work).catch(() => this.#reply('E01'));
  }

  #interrupt(): void {
    this.#target.interrupt().catch(() => this.#reply('E01'));
  }

  #reply(data: string): void {
    if (!this.#closed) this.#send(frame(data));
  }

  async #packet(data: string): Promise<void> {
    if (this.#closed) return;
    for (const [prefix, handler] of HANDLERS) {
      if (!data.startsWith(prefix)) continue;
      const answer = await handler(this, data.slice(prefix.length));
      if (answer !== undefined) this.#reply(answer);
      return;
    }
    this.#reply('');
  }

  async #resume(mode: 'continue' | 'step'): Promise<string> {
    this.#stopped = await this.#target.resume(mode, [...this.#breakpoints.values()]);
    return stopReply(this.#stopped);
  }

  // ---- one method per group of packets; the table below names them ----

  startNoAck(): string {
    this.#reader.acknowledge = false;
    return OK;
  }

  lastStop(): string {
    return stopReply(this.#stopped);
  }

  continueOrStep(mode: 'continue' | 'step'): Promise<string> {
    return this.#resume(mode);
  }

  /** `;c`, `;s:1`, `;C05;s` …: the first action that applies to thread 1. */
  async resumeActions(rest: string): Promise<string> {
    const action = /^;([cCsS])/.exec(rest)?.[1];
    if (action === undefined) return BAD_PACKET;
    return this.#resume(action.toLowerCase() === 's' ? 'step' : 'continue');
  }

  async readAllRegisters(): Promise<string> {
    const cpu = await this.#target.readRegisters();
    return REGISTERS.map((register) => writeRegister(register, cpu)).join('');
  }

  async writeAllRegisters(rest: string): Promise<string> {
    const cpu = await this.#target.readRegisters();
    let at = 0;
    for (const register of REGISTERS) {
      if (!parseRegister(register, cpu, rest.slice(at, at + register.bits / 4))) return BAD_PACKET;
      at += register.bits / 4;
    }
    await this.#target.writeRegisters(cpu);
    return OK;
  }

  async readOneRegister(rest: string): Promise<string> {
    const register = REGISTERS[Number.parseInt(rest, 16)];
    if (register === undefined) return BAD_PACKET;
    return writeRegister(register, await this.#target.readRegisters());
  }

  async writeOneRegister(rest: string): Promise<string> {
    const [number = '', value = ''] = rest.split('=');
    const register = REGISTERS[Number.parseInt(number, 16)];
    const cpu = await this.#target.readRegisters();
    if (register === undefined || !parseRegister(register, cpu, value)) return BAD_PACKET;
    await this.#target.writeRegisters(cpu);
    return OK;
  }

  async readMemory(rest: string): Promise<string> {
    const match = /^([0-9a-f]{1,16}),([0-9a-f]{1,8})$/.exec(rest);
    if (match === null) return BAD_PACKET;
    const length = Math.min(Number.parseInt(match[2] ?? '', 16), PACKET_MAX / 2);
    const bytes = await this.#target.readMemory(BigInt(`0x${match[1]}`), length);
    return bytes.length === 0 && length > 0 ? BAD_ADDRESS : toHex(bytes);
  }

  async writeMemory(rest: string, decode: (text: string) => Uint8Array | undefined): Promise<string> {
    const match = /^([0-9a-f]{1,16}),([0-9a-f]{1,8}):(.*)$/s.exec(rest);
    const bytes = decode(match?.[3] ?? '');
    if (match === null || bytes?.length !== Number.parseInt(match[2] ?? '', 16)) return BAD_PACKET;
    return (await this.#target.writeMemory(BigInt(`0x${match[1]}`), bytes)) ? OK : BAD_ADDRESS;
  }

  breakpoint(insert: boolean, rest: string): string {
    const match = /^([0-9]),([0-9a-f]{1,16}),([0-9a-f]{1,4})/.exec(rest);
    if (match === null) return BAD_PACKET;
    const kind = BREAKPOINT_KINDS[Number(match[1])];
    if (kind === undefined) return '';
    const length = kind === 'execute' ? 1 : Number.parseInt(match[3] ?? '', 16);
    const key = `${kind},${match[2]},${length}`;
    if (insert) this.#breakpoints.set(key, { kind, address: BigInt(`0x${match[2]}`), length });
    else this.#breakpoints.delete(key);
    return OK;
  }

  /** The part of target.xml that `offset,length` asks for: `m` = more follows, `l` = last. */
  features(rest: string): string {
    const match = /^target\.xml:([0-9a-f]+),([0-9a-f]+)$/.exec(rest);
    if (match === null) return 'E00';
    const from = Number.parseInt(match[1] ?? '', 16);
    const end = from + Math.min(Number.parseInt(match[2] ?? '', 16), PACKET_MAX - 64);
    return `${end < TARGET_XML.length ? 'm' : 'l'}${TARGET_XML.slice(from, end)}`;
  }

  async detach(): Promise<string> {
    this.#breakpoints.clear();
    await this.#target.detach();
    return OK;
  }

  async kill(): Promise<string> {
    await this.#target.kill();
    return OK;
  }
}

/** Packet prefixes, longest first where they overlap; everything else gets the empty answer "not supported". */
const HANDLERS: readonly (readonly [prefix: string, handler: Handler])[] = [
  [
    'qSupported',
    () => `PacketSize=${PACKET_MAX.toString(16)};QStartNoAckMode+;qXfer:features:read+;vContSupported+`,
  ],
  ['QStartNoAckMode', (gdb) => gdb.startNoAck()],
  ['qXfer:features:read:', (gdb, rest) => gdb.features(rest)],
  ['qAttached', () => '1'],
  ['qfThreadInfo', () => 'm1'],
  ['qsThreadInfo', () => 'l'],
  ['qThreadExtraInfo,', () => toHex(Uint8Array.from('CPU 0', (c) => c.charCodeAt(0)))],
  ['qC', () => 'QC1'],
  ['T', () => OK],
  ['H', () => OK],
  ['vCont?', () => 'vCont;c;C;s;S'],
  ['vCont', (gdb, rest) => gdb.resumeActions(rest)],
  ['vKill', (gdb) => gdb.kill()],
  ['?', (gdb) => gdb.lastStop()],
  ['c', (gdb) => gdb.continueOrStep('continue')],
  ['s', (gdb) => gdb.continueOrStep('step')],
  ['g', (gdb) => gdb.readAllRegisters()],
  ['G', (gdb, rest) => gdb.writeAllRegisters(rest)],
  ['p', (gdb, rest) => gdb.readOneRegister(rest)],
  ['P', (gdb, rest) => gdb.writeOneRegister(rest)],
  ['m', (gdb, rest) => gdb.readMemory(rest)],
  ['M', (gdb, rest) => gdb.writeMemory(rest, fromHex)],
  ['X', (gdb, rest) => gdb.writeMemory(rest, unescape)],
  ['Z', (gdb, rest) => gdb.breakpoint(true, rest)],
  ['z', (gdb, rest) => gdb.breakpoint(false, rest)],
  ['D', (gdb) => gdb.detach()],
  ['k', (gdb) => gdb.kill()],
];
