/**
 * A microvm under QEMU with the console ports of docs/guest-protocol.md: a second, independent implementation of the
 * machine, so that the initramfs and the protocol are tested apart from our own devices.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const QEMU = 'qemu-system-x86_64';
export const hasQemu = (): boolean => spawnSync(QEMU, ['-version']).status === 0;

/** One side of a console port: bytes collected, and waiting for a pattern in them. */
export class PortStream {
  readonly socket: Promise<Socket>;
  #text = '';
  #taken = 0;
  #ended = false;
  #wake: (() => void)[] = [];
  readonly server: Server;

  constructor(path: string) {
    const { promise, resolve } = Promise.withResolvers<Socket>();
    this.socket = promise;
    this.server = createServer((socket) => {
      resolve(socket);
      socket.setEncoding('latin1');
      socket.on('data', (chunk) => {
        this.#text += chunk;
        this.#notify();
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#ended = true;
        this.#notify();
      });
    }).listen(path);
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** All bytes so far, as latin1. */
  get text(): string {
    return this.#text;
  }

  async write(text: string): Promise<void> {
    (await this.socket).write(text, 'latin1');
  }

  async end(): Promise<void> {
    (await this.socket).end();
  }

  /** The first match after what earlier calls matched. Rejects when the port ends without one. */
  async expect(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#text.slice(this.#taken));
      if (match !== null) {
        this.#taken += match.index + match[0].length;
        return match;
      }
      if (this.#ended)
        throw new Error(`port ended without ${pattern}: ${JSON.stringify(this.#text.slice(-2000))}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async untilEnd(): Promise<string> {
    while (!this.#ended) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#text;
  }
}

/** Under load the guest's calibration of its TSC (under TCG the host's) against the timer fails: tell it. */
function tscKhz(): string {
  const mhz = /cpu MHz\s*:\s*([0-9.]+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1];
  return mhz === undefined ? '' : `tsc_early_khz=${Math.round(Number(mhz) * 1000)}`;
}

export interface QemuOptions {
  readonly kernel: string;
  readonly initrd: string;
  /** Without: only the serial port. */
  readonly ports?: boolean;
  readonly append?: string;
  /** Guest memory. Default 256. */
  readonly memoryMib?: number;
  /** Default max: everything that TCG can do. */
  readonly cpu?: string;
}

const PORTS = ['stdin', 'stdout', 'stderr', 'control'] as const;
type PortName = (typeof PORTS)[number] | 'serial' | 'terminal' | 'monitor';

export class QemuVm {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'viv-qemu-'));
  readonly ports: Record<PortName, PortStream>;
  /** QEMU and its arguments. */
  readonly commandLine: readonly string[];
  readonly #process: ChildProcess;
  readonly exited: Promise<void>;

  constructor(options: QemuOptions) {
    const { cpu = 'max', memoryMib = 256 } = options;
    const args = ['-accel', 'tcg', '-M', 'microvm,acpi=on,rtc=on,pit=on,pic=on', '-cpu', cpu, '-smp', '1'];
    args.push('-m', String(memoryMib), '-nodefaults');
    args.push(
      '-no-user-config',
      '-nographic',
      '-no-reboot',
      '-kernel',
      options.kernel,
      '-initrd',
      options.initrd,
    );
    args.push('-append', `console=ttyS0 panic=-1 ${tscKhz()} ${options.append ?? ''}`);
    const port = (name: PortName): PortStream => {
      const path = join(this.folder, name);
      args.push('-chardev', `socket,id=${name},path=${path},server=off`);
      return new PortStream(path);
    };
    this.ports = {} as Record<PortName, PortStream>;
    this.ports.serial = port('serial');
    this.ports.monitor = port('monitor');
    args.push('-serial', 'chardev:serial', '-mon', 'chardev=monitor,mode=readline');
    if (options.ports ?? true) {
      this.ports.terminal = port('terminal');
      args.push('-device', 'virtio-serial-device,max_ports=8', '-device', 'virtconsole,chardev=terminal');
      for (const name of PORTS) {
        this.ports[name] = port(name);
        args.push('-device', `virtserialport,chardev=${name},name=viv.${name}`);
      }
    }
    this.commandLine = [QEMU, ...args];
    this.#process = spawn(QEMU, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    // A test that ends early must not leave the machine behind.
    process.once('exit', () => this.#process.kill('SIGKILL'));
    this.exited = new Promise((resolve) => this.#process.on('exit', () => resolve()));
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  async control(...lines: string[]): Promise<void> {
    await this.ports.control.write(lines.map((line) => `${line}\n`).join(''));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited;
    for (const port of Object.values(this.ports)) port.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
