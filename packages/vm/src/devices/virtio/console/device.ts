/**
 * The console device: several named byte streams over one virtio device. What a port still has to tell the guest is a
 * few bits, not a list of messages, so a guest that floods the control queue cannot make us remember anything.
 *
 * The RESIZE message is never sent: Linux read its two fields in the wrong order until 6.15 and in the right one
 * since, so no order works everywhere. Terminal sizes travel in the guest protocol; the configuration space has them
 * for drivers without MULTIPORT.
 */
import type { Chain } from '../chain.ts';
import type { VirtioModel, VirtioTransport } from '../model.ts';
import { ConsolePort } from './port.ts';
import {
  Config,
  CONSOLE_DEVICE_ID,
  Control,
  CONTROL_BYTES,
  CONTROL_RECEIVE,
  CONTROL_TRANSMIT,
  F_MULTIPORT,
  F_SIZE,
  MAX_PORTS,
  Owed,
  portOfQueue,
  QUEUE_SIZE,
  receiveQueue,
  transmitQueue,
} from './regs.ts';
import { assert } from '../../../base/errors.ts';
import type { ConsoleState } from './state.ts';

/** Chains and bytes that one turn moves. */
const BURST = 64;
const SLICE_BYTES = 0x10000;

export interface ConsoleOptions {
  readonly ports: readonly { readonly name: string; readonly console?: boolean }[];
  readonly columns?: number;
  readonly rows?: number;
}

export class Console implements VirtioModel {
  readonly deviceId: number = CONSOLE_DEVICE_ID;
  readonly features: number = F_SIZE | F_MULTIPORT;
  readonly queueSizes: readonly number[];
  readonly ports: readonly ConsolePort[];
  #columns: number;
  #rows: number;
  #transport: VirtioTransport | undefined;
  #multiport = false;

  constructor(options: ConsoleOptions) {
    assert(options.ports.length >= 1 && options.ports.length <= MAX_PORTS, 'a console has 1 to 31 ports');
    this.ports = options.ports.map(
      (port, id) => new ConsolePort(port.name, port.console === true, () => this.#wake(id)),
    );
    // Two queues per port and two for control, whatever the number of ports.
    this.queueSizes = new Array<number>(2 * this.ports.length + 2).fill(QUEUE_SIZE);
    this.#columns = options.columns ?? 80;
    this.#rows = options.rows ?? 25;
  }

  config(): Uint8Array {
    const bytes = new Uint8Array(Config.BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint16(Config.COLUMNS, this.#columns, true);
    view.setUint16(Config.ROWS, this.#rows, true);
    view.setUint32(Config.MAX_PORTS, this.ports.length, true);
    return bytes;
  }

  /** The size of the terminal, for drivers that read it from the configuration space. */
  resize(columns: number, rows: number): void {
    this.#columns = columns & 0xffff;
    this.#rows = rows & 0xffff;
    const transport = this.#transport;
    transport?.enter(() =>
      transport.setConfig(Config.COLUMNS, this.config().subarray(Config.COLUMNS, Config.MAX_PORTS)),
    );
  }

  activate(transport: VirtioTransport, features: number): void {
    this.#transport = transport;
    this.#multiport = (features & F_MULTIPORT) !== 0;
    if (!this.#multiport) this.#port(0).setGuestOpen(true);
  }

  notify(index: number): void {
    if (index === CONTROL_RECEIVE) this.#sendControl();
    else if (index === CONTROL_TRANSMIT) this.#receiveControl();
    else if (portOfQueue(index) < this.ports.length) {
      const port = portOfQueue(index);
      if (index === receiveQueue(port)) this.#feed(port);
      else this.#drain(port);
    }
  }

  /** Does output of the guest wait for a reader on the host? */
  get held(): boolean {
    return this.ports.some((port) => port.output.full);
  }

  /** The host's side of port `id` has changed: new input, or room for output. */
  #wake(id: number): void {
    this.#transport?.enter(() => {
      this.#feed(id);
      this.#drain(id);
    });
  }

  // ---- guest to host ----

  #drain(id: number): void {
    const transport = this.#transport;
    const port = this.#port(id);
    if (transport === undefined) return;
    let bytes = 0;
    for (let i = 0; i < BURST && bytes < SLICE_BYTES; i++) {
      // The reader is slow: stop before the next buffer. It wakes us when it has read.
      if (port.output.full) return;
      const chain = transport.pop(transmitQueue(id));
      if (chain === undefined) {
        if (!transport.paused) this.#endIfClosed(port);
        return;
      }
      bytes += this.#takeSlice(transport, id, chain);
    }
    transport.again(transmitQueue(id));
  }

  /** Takes a buffer, or a part of a giant one; returns the bytes taken. */
  #takeSlice(transport: VirtioTransport, id: number, chain: Chain): number {
    const port = this.#port(id);
    const bytes = chain.read(port.transmitOffset, SLICE_BYTES);
    port.output.push(bytes);
    port.transmitOffset += bytes.length;
    if (port.transmitOffset >= chain.readableBytes) {
      port.transmitOffset = 0;
      transport.push(transmitQueue(id), chain.head, 0);
    } else {
      transport.unpop(transmitQueue(id));
    }
    return bytes.length;
  }

  #endIfClosed(port: ConsolePort): void {
    if (!port.closing) return;
    port.closing = false;
    port.output.end();
  }

  // ---- host to guest ----

  #feed(id: number): void {
    const transport = this.#transport;
    const port = this.#port(id);
    if (transport === undefined) return;
    for (let i = 0; i < BURST; i++) {
      const item = port.input[0];
      if (item === undefined) return;
      if (item.kind === 'open') {
        // One change at a time: the message before must have gone.
        if ((port.owed & Owed.OPEN) !== 0 && port.ready) return;
        port.input.shift();
        port.hostOpen = item.open;
        if (port.ready) port.owed |= Owed.OPEN;
        this.#sendControl();
        continue;
      }
      if (!port.guestOpen) return;
      const chain = transport.pop(receiveQueue(id));
      if (chain === undefined) return;
      const count = chain.write(0, item.bytes);
      transport.push(receiveQueue(id), chain.head, count);
      item.bytes = item.bytes.subarray(count);
      if (item.bytes.length > 0) continue;
      port.input.shift();
      item.done();
    }
    transport.again(receiveQueue(id));
  }

  // ---- control ----

  #receiveControl(): void {
    const transport = this.#transport;
    if (transport === undefined) return;
    for (let i = 0; i < BURST; i++) {
      const chain = transport.pop(CONTROL_TRANSMIT);
      if (chain === undefined) {
        this.#sendControl();
        return;
      }
      const message = chain.read(0, CONTROL_BYTES);
      transport.push(CONTROL_TRANSMIT, chain.head, 0);
      if (message.length === CONTROL_BYTES && this.#multiport) {
        const view = new DataView(message.buffer);
        this.#control(view.getUint32(0, true), view.getUint16(4, true), view.getUint16(6, true));
      }
    }
    this.#sendControl();
    transport.again(CONTROL_TRANSMIT);
  }

  #control(id: number, event: number, value: number): void {
    if (event === Control.DEVICE_READY) {
      if (value === 1) for (const port of this.ports) port.owed = Owed.ADD;
      return;
    }
    const port = this.ports[id];
    if (port === undefined) return;
    if (event === Control.PORT_READY && value === 1) {
      port.ready = true;
      port.owed |= Owed.IDENTITY | Owed.OPEN;
    } else if (event === Control.PORT_OPEN) {
      port.setGuestOpen(value !== 0);
      if (value !== 0) this.#feed(id);
      else this.#drain(id);
    }
  }

  #sendControl(): void {
    const transport = this.#transport;
    if (transport === undefined) return;
    for (const [id, port] of this.ports.entries()) {
      while (port.owed !== 0) {
        const chain = transport.pop(CONTROL_RECEIVE);
        if (chain === undefined) return;
        const bit = port.owed & -port.owed;
        port.owed &= ~bit;
        transport.push(CONTROL_RECEIVE, chain.head, chain.write(0, controlMessage(id, port, bit)));
        if (bit === Owed.OPEN && port.input[0]?.kind === 'open') transport.again(receiveQueue(id));
      }
    }
  }

  #port(id: number): ConsolePort {
    return this.ports[id] as ConsolePort;
  }

  reset(): void {
    this.#transport = undefined;
    for (const port of this.ports) port.reset();
  }

  /** The machine is gone: readers see the end, writers go on. */
  close(): void {
    for (const port of this.ports) {
      port.dropInput();
      port.output.close();
    }
  }

  async quiesce(): Promise<void> {}

  save(): ConsoleState {
    return {
      kind: 'virtio-console',
      version: 1,
      columns: this.#columns,
      rows: this.#rows,
      ports: this.ports.map((port) => ({
        name: port.name,
        guestOpen: port.guestOpen,
        hostOpen: port.hostOpen,
        ready: port.ready,
        closing: port.closing,
        owed: port.owed,
        transmitOffset: port.transmitOffset,
      })),
    };
  }

  load(state: ConsoleState): void {
    this.#columns = state.columns;
    this.#rows = state.rows;
    for (const saved of state.ports) {
      const port = this.ports.find((candidate) => candidate.name === saved.name);
      if (port === undefined) continue;
      port.setGuestOpen(saved.guestOpen);
      port.hostOpen = saved.hostOpen;
      port.ready = saved.ready;
      port.closing = saved.closing;
      port.owed = saved.owed;
      port.transmitOffset = saved.transmitOffset;
    }
  }
}

/** The message that pays what `bit` of Owed stands for. */
function controlMessage(id: number, port: ConsolePort, bit: number): Uint8Array {
  if (bit === Owed.ADD) return control(id, Control.DEVICE_ADD, 1);
  if (bit === Owed.OPEN) return control(id, Control.PORT_OPEN, port.hostOpen ? 1 : 0);
  if (port.console) return control(id, Control.CONSOLE_PORT, 1);
  return control(id, Control.PORT_NAME, 1, asciiBytes(port.name));
}

function control(id: number, event: number, value: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const message = new Uint8Array(CONTROL_BYTES + data.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, id, true);
  view.setUint16(4, event, true);
  view.setUint16(6, value, true);
  message.set(data, CONTROL_BYTES);
  return message;
}

/** Port names are printable ASCII. */
function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);
}
