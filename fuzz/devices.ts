/**
 * Fuzzes the devices as a hostile guest would: random register accesses, random rings, random moments, with the host
 * reading, typing, pausing, saving and loading meanwhile. Everything goes through the public front bus and the shared
 * memory. Nothing may throw, nothing outside of the guest's memory may change, and afterwards every device must
 * work again for a driver that resets it.
 */
import { GUEST_PAGE, VCPU_BASE } from '../packages/vm/src/machine/layout.ts';
import { MAILBOX_BYTES } from '../packages/vm/src/machine/mailbox.ts';
import type { BlockFile } from '../packages/vm/src/base/ports.ts';
import { Driver, F_EVENT_IDX, F_VERSION_1, RAM_BYTES, TestMachine } from '../test/devices/driver.ts';

export interface DeviceFuzzOptions {
  readonly seed: number;
  readonly operations: number;
}

const PORTS = [
  0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x600, 0x601,
  0x604,
];
const REGISTERS = [
  0x000, 0x014, 0x020, 0x024, 0x030, 0x038, 0x044, 0x050, 0x060, 0x064, 0x070, 0x080, 0x084, 0x090, 0x094,
  0x0a0, 0x0a4, 0x0c0, 0x0fc, 0x100, 0x104, 0x108, 0x1f0, 0xffc,
];
const EDGES = [
  0, 1, 2, 3, 4, 8, 11, 15, 16, 64, 128, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
  0xffffffff,
];
const SLOTS = 4;
const PATTERN = 0xc3;

class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** Uniform below `bound` (xorshift32). */
  below(bound: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % bound;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  value(): number {
    return this.below(3) === 0 ? this.below(0xffffffff) : this.pick(EDGES);
  }
}

class MemoryDisk implements BlockFile {
  readonly #bytes: Uint8Array = new Uint8Array(0x40000);
  readonly #random: Random;
  readonly sizeBytes: number = this.#bytes.length;

  constructor(random: Random) {
    this.#random = random;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#delay();
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.#delay();
    this.#bytes.set(source, offset);
  }

  flush(): Promise<void> {
    return this.#delay();
  }

  async #delay(): Promise<void> {
    for (let turns = this.#random.below(3); turns > 0; turns--) await turn();
    if (this.#random.below(20) === 0) throw new Error('the disk is broken');
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function createMachine(random: Random): TestMachine {
  return new TestMachine(
    {
      virtio: [
        { type: 'console', ports: [{ name: 'hvc', console: true }, { name: 'in' }, { name: 'out' }] },
        { type: 'blk', disk: 'a' },
        { type: 'blk', disk: 'b', readOnly: true },
        { type: 'rng' },
      ],
    },
    { a: new MemoryDisk(random), b: new MemoryDisk(random) },
    2,
  );
}

/** The shared bytes that belong to nobody here: the null page and the vCPU areas behind their mailboxes. */
function foreign(machine: TestMachine): Uint8Array[] {
  const end = machine.layout.pageFlags;
  return [
    new Uint8Array(machine.buffer, 0, 0x10000),
    new Uint8Array(machine.buffer, VCPU_BASE + MAILBOX_BYTES, 0x10000),
    new Uint8Array(machine.buffer, end - 0x10000, 0x10000),
  ];
}

class Fuzzer {
  readonly #random: Random;
  readonly machine: TestMachine;
  readonly #drivers: Driver[];
  #paused = false;

  constructor(random: Random) {
    this.#random = random;
    this.machine = createMachine(random);
    this.#drivers = Array.from({ length: SLOTS }, (_, slot) => new Driver(this.machine, slot));
    for (const bytes of foreign(this.machine)) bytes.fill(PATTERN);
    this.machine.backends.start();
  }

  async step(): Promise<void> {
    const random = this.#random;
    const driver = random.pick(this.#drivers);
    switch (random.below(14)) {
      case 0:
        this.#port();
        break;
      case 1:
        this.#mmio(0xfec00000 + random.pick([0, 0x10, 0x20, 0x40, random.below(0x1010)]));
        break;
      case 2:
      case 3:
        this.#mmio(driver.base + random.pick([...REGISTERS, random.below(0x1004)]));
        break;
      case 4:
        this.#startDriver(driver);
        break;
      case 5:
      case 6:
      case 7:
      case 8:
        this.#request(driver);
        break;
      case 9:
        this.machine.bytes[0x10000 + random.below(0x4000 * 8)] = random.below(256);
        break;
      case 10:
        await this.#host();
        break;
      default:
        driver.notify(random.below(10));
        if (random.below(3) === 0) await turn();
    }
  }

  #port(): void {
    const size = this.#random.pick([1, 2, 4] as const);
    const port = this.#random.pick([...PORTS, this.#random.below(0x10000)]);
    if (this.#random.below(2) === 0) this.machine.bus.readPort(port, size);
    else this.machine.bus.writePort(port, size, this.#random.value());
  }

  #mmio(gpa: number): void {
    const size = this.#random.pick([1, 2, 4, 4, 4, 4] as const);
    if (this.#random.below(3) === 0) this.machine.bus.readMmio(gpa, size);
    else this.machine.bus.writeMmio(gpa, size, this.#random.value());
  }

  #startDriver(driver: Driver): void {
    const random = this.#random;
    driver.negotiate(F_VERSION_1 | (random.below(2) === 0 ? F_EVENT_IDX : 0n) | BigInt(random.below(4)));
    for (let queue = 0; queue < 8; queue++) {
      if (random.below(8) === 0) continue;
      const odd = random.below(30) === 0;
      driver.setQueue(queue, odd ? random.value() : 1 << (1 + random.below(6)));
      if (random.below(40) === 0)
        driver.write(random.pick([0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4]), random.value());
    }
    driver.write(0x70, 15);
  }

  /** A request that is nearly right: real buffers in RAM, now and then anything else. */
  #request(driver: Driver): void {
    const random = this.#random;
    const queue = random.below(8);
    const size = driver.sizes[queue] ?? 0;
    if (size < 1 || size > 256) return;
    if (random.below(3) === 0) {
      this.#diskRequest(driver, queue, size);
      return;
    }
    const count = 1 + random.below(4);
    const first = random.below(size);
    const readable = random.below(count + 1);
    for (let i = 0; i < count; i++) {
      const odd = random.below(60) === 0;
      const address = odd
        ? BigInt(random.value()) << BigInt(random.below(33))
        : BigInt(0x100000 + random.below(0x200000));
      const length =
        random.below(40) === 0 ? random.value() : random.pick([1, 8, 16, 17, 64, 512, 513, 4096, 0x10000]);
      const flags = (i + 1 < count ? 1 : 0) | (i >= readable ? 2 : 0) | (random.below(200) === 0 ? 4 : 0);
      const next = random.below(60) === 0 ? random.below(0x10000) : (first + i + 1) % size;
      driver.setDescriptor(queue, (first + i) % size, address, length, flags, next);
    }
    // A header in the first buffer: a block request or a console control message.
    const at = Number(
      BigInt.asUintN(22, BigInt(this.machine.ram.getUint32(driver.ringBase(queue) + 16 * first, true))),
    );
    if (at + 16 < RAM_BYTES) {
      this.machine.ram.setUint32(at, random.below(9), true);
      this.machine.ram.setUint32(at + 4, random.below(8) | (random.below(2) << 16), true);
      this.machine.ram.setUint32(at + 8, random.below(4) === 0 ? random.value() : random.below(520), true);
      this.machine.ram.setUint32(at + 12, random.below(20) === 0 ? random.value() : 0, true);
    }
    driver.makeAvailable(queue, random.below(100) === 0 ? random.below(0x10000) : first);
    if (random.below(200) === 0) driver.setAvailableIndex(queue, random.below(0x10000));
    if (random.below(3) > 0) driver.notify(queue);
  }

  /** A block request that is right, at some sector. */
  #diskRequest(driver: Driver, queue: number, size: number): void {
    const random = this.#random;
    if (size < 4) return;
    const header = 0x100000 + 16 * random.below(1000);
    const type = random.pick([0, 0, 1, 1, 4, 8, 11]);
    this.machine.ram.setUint32(header, type, true);
    this.machine.ram.setBigUint64(header + 8, BigInt(random.below(520)), true);
    driver.add(queue, [
      { gpa: header, length: 16 },
      { gpa: 0x200000 + random.below(0x10000), length: 512 * random.below(20), write: type !== 1 },
      { gpa: 0x300000 + random.below(0x10000), length: 1, write: true },
    ]);
    driver.notify(queue);
  }

  async #host(): Promise<void> {
    const { backends } = this.machine;
    const random = this.#random;
    const ports = [...backends.consolePorts.values()];
    const port = random.pick(ports);
    switch (random.below(11)) {
      case 0:
        void port.write(new Uint8Array(1 + random.below(5000)));
        break;
      case 1:
        void port.output.read();
        break;
      case 2:
        port.endInput();
        break;
      case 3:
        port.openInput();
        break;
      case 4:
        backends.resize(random.below(0x20000), random.below(0x20000));
        break;
      case 5:
        backends.pressPowerButton();
        backends.pressCtrlAltDel();
        break;
      case 6:
        void backends.serial.write(new Uint8Array(random.below(6000)));
        break;
      case 7:
        void backends.serial.output.read();
        break;
      case 8: {
        // Through JSON, as a snapshot would; ports that were ended by the load are opened again by the guest.
        await backends.pause();
        const state = JSON.parse(JSON.stringify(backends.save()));
        backends.load(state);
        backends.resume();
        break;
      }
      case 9:
        if (this.#paused) backends.resume();
        else await backends.pause();
        this.#paused = !this.#paused;
        break;
      default:
        if (random.below(10) === 0) {
          await backends.pause();
          backends.reset();
          backends.start();
        }
    }
    for (const mailbox of this.machine.mailboxes) mailbox.takeRequests();
  }

  /** A well-behaved driver takes over: every device must serve it. */
  async finish(): Promise<void> {
    const { backends, bytes, ram } = this.machine;
    await backends.pause();
    backends.resume();
    // All rings lie at the same addresses: nobody else may complete anything there.
    for (const driver of this.#drivers) driver.write(0x70, 0);
    bytes.fill(0);
    const rng = this.#drivers[3] as Driver;
    rng.start(1);
    await expectUsed(rng, 0, [{ gpa: 0x3000, length: 16, write: true }], 16);
    const disk = this.#drivers[1] as Driver;
    disk.start(1);
    ram.setUint32(0x3000, 8, true);
    await expectUsed(
      disk,
      0,
      [
        { gpa: 0x3000, length: 16 },
        { gpa: 0x4000, length: 21, write: true },
      ],
      21,
    );
    const console = this.#drivers[0] as Driver;
    console.start(4);
    await expectUsed(console, 1, [{ gpa: 0x5000, length: 100 }], 0, () => {
      for (const port of backends.consolePorts.values()) void port.output.read();
    });
    for (const region of foreign(this.machine)) {
      if (!region.every((byte) => byte === PATTERN))
        throw new Error('a device wrote outside of guest memory');
    }
    const flags = new Uint8Array(this.machine.buffer, this.machine.layout.pageFlags, RAM_BYTES / GUEST_PAGE);
    if (!flags.every((flag) => (flag & ~2) === 0)) throw new Error('a page flag other than DIRTY was set');
    await backends.stop();
  }
}

async function expectUsed(
  driver: Driver,
  queue: number,
  buffers: Parameters<Driver['add']>[1],
  length: number,
  meanwhile: () => void = () => {},
): Promise<void> {
  driver.add(queue, buffers);
  driver.notify(queue);
  for (let turns = 0; driver.usedIndex(queue) === 0; turns++) {
    if (turns > 10_000) throw new Error(`slot at 0x${driver.base.toString(16)} serves nobody any more`);
    meanwhile();
    await turn();
  }
  const used = await driver.takeUsed(queue);
  if (used.length !== length)
    throw new Error(`slot at 0x${driver.base.toString(16)} returned ${used.length} bytes`);
}

/** Runs `operations` random operations; rejects with what went wrong. */
export async function fuzzDevices(options: DeviceFuzzOptions): Promise<void> {
  const fuzzer = new Fuzzer(new Random(options.seed));
  for (let i = 0; i < options.operations; i++) await fuzzer.step();
  await fuzzer.finish();
}

const OPERATIONS_PER_SEED = 5000;

/** Many machines, one seed each, from `seed` on. Prints each failure, then `operations=N failures=F`; returns F. */
export async function fuzzDevicesBySeeds(
  operations: number,
  seed: number,
  print: (...line: unknown[]) => void,
): Promise<number> {
  let failures = 0;
  let done = 0;
  for (let next = seed; done < operations; done += OPERATIONS_PER_SEED, next++) {
    try {
      await fuzzDevices({ seed: next, operations: OPERATIONS_PER_SEED });
    } catch (error) {
      failures++;
      print(`seed ${next}:`, error);
    }
  }
  print(`operations=${done} failures=${failures}`);
  return failures;
}
