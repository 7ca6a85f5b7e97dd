/**
 * The block device over a file port. At most MAX_IN_FLIGHT requests are taken at a time, each moves its data through
 * one private buffer of at most CHUNK_BYTES, so a guest cannot make us allocate. FLUSH is acknowledged when the port
 * says the data is on stable storage. Writes to a read-only disk fail whatever features the driver took.
 */
import type { BlockFile } from '../../../base/ports.ts';
import type { Chain } from '../chain.ts';
import type { VirtioModel, VirtioTransport } from '../model.ts';
import {
  BLK_DEVICE_ID,
  Config,
  F_BLK_SIZE,
  F_FLUSH,
  F_RO,
  F_SEG_MAX,
  HEADER_BYTES,
  ID_BYTES,
  QUEUE_SIZE,
  RequestStatus,
  RequestType,
  SECTOR_BYTES,
  SEG_MAX,
} from './regs.ts';
import type { BlkState } from './state.ts';

const MAX_IN_FLIGHT = 16;
const CHUNK_BYTES = 0x100000;

export interface BlkOptions {
  readonly file: BlockFile;
  readonly readOnly: boolean;
  /** Serial number as the guest reads it; cut at 20 bytes. */
  readonly serial: string;
  /** Requests taken at a time; with 1 they are done in order. */
  readonly inFlight?: number;
}

export class Blk implements VirtioModel {
  readonly deviceId: number = BLK_DEVICE_ID;
  readonly features: number;
  readonly queueSizes: readonly number[] = [QUEUE_SIZE];
  readonly #file: BlockFile;
  readonly #readOnly: boolean;
  readonly #id: Uint8Array;
  readonly #capacityBytes: number;
  readonly #maxInFlight: number;
  #transport: VirtioTransport | undefined;
  #inFlight = 0;
  #idle: (() => void)[] = [];
  /** Host errors so far; the guest got an I/O error for each. */
  readonly failures: unknown[] = [];

  constructor(options: BlkOptions) {
    this.#file = options.file;
    this.#readOnly = options.readOnly;
    this.#maxInFlight = Math.min(options.inFlight ?? MAX_IN_FLIGHT, MAX_IN_FLIGHT);
    this.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (options.readOnly ? F_RO : 0);
    this.#id = new Uint8Array(ID_BYTES);
    this.#id.set(asciiBytes(options.serial).subarray(0, ID_BYTES));
    this.#capacityBytes = Math.floor(options.file.sizeBytes / SECTOR_BYTES) * SECTOR_BYTES;
  }

  config(): Uint8Array {
    const bytes = new Uint8Array(Config.BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(Config.CAPACITY, BigInt(this.#capacityBytes / SECTOR_BYTES), true);
    view.setUint32(Config.SEG_MAX, SEG_MAX, true);
    view.setUint32(Config.BLK_SIZE, SECTOR_BYTES, true);
    return bytes;
  }

  activate(transport: VirtioTransport): void {
    this.#transport = transport;
  }

  notify(index: number): void {
    const transport = this.#transport;
    if (transport === undefined) return;
    while (this.#inFlight < this.#maxInFlight) {
      const chain = transport.pop(index);
      if (chain === undefined) return;
      if (chain.readableBytes < HEADER_BYTES || chain.writableBytes < 1) {
        transport.push(index, chain.head, 0);
        transport.fail('block request without header or status byte');
        return;
      }
      this.#inFlight++;
      void this.#run(transport, index, chain);
    }
  }

  async #run(transport: VirtioTransport, index: number, chain: Chain): Promise<void> {
    const header = new DataView(chain.read(0, HEADER_BYTES).buffer);
    let status: number = RequestStatus.IO_ERROR;
    let written = 0;
    try {
      const type = header.getUint32(0, true);
      const offset = (header.getUint32(12, true) * 0x1_0000_0000 + header.getUint32(8, true)) * SECTOR_BYTES;
      const done = await this.#execute(transport, chain, type, offset);
      status = done.status;
      written = done.written;
    } catch (error) {
      // A full or broken host disk: an I/O error to the guest, the first few kept for diagnosis.
      if (this.failures.length < 16) this.failures.push(error);
    }
    this.#inFlight--;
    transport.enter(() => {
      chain.write(chain.writableBytes - 1, Uint8Array.of(status));
      transport.push(index, chain.head, written + 1);
    });
    if (this.#inFlight === 0) for (const idle of this.#idle.splice(0)) idle();
    // There is room for another request, of this life or the next.
    if (this.#inFlight === this.#maxInFlight - 1) this.#transport?.again(index);
  }

  async #execute(
    transport: VirtioTransport,
    chain: Chain,
    type: number,
    offset: number,
  ): Promise<{ status: number; written: number }> {
    switch (type) {
      case RequestType.IN: {
        const length = chain.writableBytes - 1;
        if (!this.#inRange(offset, length)) return { status: RequestStatus.IO_ERROR, written: 0 };
        await this.#readDisk(transport, chain, offset, length);
        return { status: RequestStatus.OK, written: length };
      }
      case RequestType.OUT: {
        const length = chain.readableBytes - HEADER_BYTES;
        if (this.#readOnly || !this.#inRange(offset, length)) {
          return { status: RequestStatus.IO_ERROR, written: 0 };
        }
        await this.#writeDisk(transport, chain, offset, length);
        return { status: RequestStatus.OK, written: 0 };
      }
      case RequestType.FLUSH:
        if (!this.#readOnly) await this.#file.flush();
        return { status: RequestStatus.OK, written: 0 };
      case RequestType.GET_ID: {
        let written = 0;
        const length = Math.min(ID_BYTES, chain.writableBytes - 1);
        transport.enter(() => {
          written = chain.write(0, this.#id.subarray(0, length));
        });
        return { status: RequestStatus.OK, written };
      }
      default:
        return { status: RequestStatus.UNSUPPORTED, written: 0 };
    }
  }

  /** Whole sectors inside the disk. Offsets are doubles: a 64-bit sector number cannot wrap around. */
  #inRange(offset: number, length: number): boolean {
    return length % SECTOR_BYTES === 0 && offset + length <= this.#capacityBytes;
  }

  async #readDisk(transport: VirtioTransport, chain: Chain, offset: number, length: number): Promise<void> {
    const buffer = new Uint8Array(Math.min(length, CHUNK_BYTES));
    for (let done = 0; done < length; done += buffer.length) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, length - done));
      await this.#file.read(offset + done, chunk);
      if (!entered(transport, () => chain.write(done, chunk))) return;
    }
  }

  async #writeDisk(transport: VirtioTransport, chain: Chain, offset: number, length: number): Promise<void> {
    for (let done = 0; done < length; done += CHUNK_BYTES) {
      let chunk: Uint8Array | undefined;
      transport.enter(() => {
        chunk = chain.read(HEADER_BYTES + done, Math.min(CHUNK_BYTES, length - done));
      });
      // The guest has reset the device: what it had handed over so far stays written, as on a disk.
      if (chunk === undefined) return;
      await this.#file.write(offset + done, chunk);
    }
  }

  reset(): void {
    this.#transport = undefined;
  }

  quiesce(): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  save(): BlkState {
    return { kind: 'virtio-blk', version: 1, capacityBytes: this.#capacityBytes };
  }

  load(): void {}
}

/** Runs `work` if the transport still lives; says whether it did. */
function entered(transport: VirtioTransport, work: () => void): boolean {
  let ran = false;
  transport.enter(() => {
    ran = true;
    work();
  });
  return ran;
}

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0x7f);
}
