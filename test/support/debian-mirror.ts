/** A Debian archive made on the fly and served on the loopback, with faults on demand. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { createCleartextMessage, generateKey, type PrivateKey, sign } from 'openpgp';

export interface SigningKey {
  readonly privateKey: PrivateKey;
  readonly publicKey: Uint8Array;
  readonly fingerprint: string;
}

export async function makeSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ name: 'Test archive' }],
    date: new Date('2020-01-01'),
    format: 'object',
  });
  return {
    privateKey,
    publicKey: new TextEncoder().encode(publicKey.armor()),
    fingerprint: publicKey.getFingerprint(),
  };
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface ArchiveFile {
  readonly path: string;
  readonly data: Uint8Array | string;
}

/** A ustar archive of regular files. */
export function tar(files: readonly ArchiveFile[]): Buffer {
  const blocks = files.flatMap(({ path, data }) => {
    const bytes = Buffer.from(data);
    const header = Buffer.alloc(512);
    header.write(path, 0);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write('        ', 148);
    header.write('0', 156);
    header.write('ustar\u000000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, bytes, Buffer.alloc(-bytes.length & 511)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export function deb(files: readonly ArchiveFile[]): Buffer {
  const member = (name: string, data: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from(
        `${name.padEnd(16)}${'0'.padEnd(12)}0     0     100644  ${String(data.length).padEnd(10)}\`\n`,
      ),
      data,
      Buffer.alloc(data.length & 1, '\n'),
    ]);
  return Buffer.concat([
    Buffer.from('!<arch>\n'),
    member('debian-binary', Buffer.from('2.0\n')),
    member('control.tar.gz', gzipSync(tar([{ path: './control', data: 'Package: x\n' }]))),
    member('data.tar.gz', gzipSync(tar(files))),
  ]);
}

export interface FixturePackage {
  readonly name: string;
  readonly version: string;
  readonly depends?: string;
  readonly file: Buffer;
}

export interface FixtureSuite {
  readonly packages: readonly FixturePackage[];
  readonly origin?: string;
  readonly validUntil?: string;
  readonly signedBy: SigningKey;
}

export type Fault = (request: IncomingMessage, response: ServerResponse, body: Buffer) => boolean;

export class DebianMirror implements AsyncDisposable {
  readonly files: Map<string, Buffer> = new Map();
  /** Path and Range header of every request. */
  readonly requests: string[] = [];
  /** Answers instead of the server when it returns true. */
  fault: Fault = () => false;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async start(): Promise<DebianMirror> {
    const mirror = new DebianMirror(createServer());
    mirror.#server.listen(0, '127.0.0.1');
    await once(mirror.#server, 'listening');
    return mirror;
  }

  /** Without path. */
  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    this.requests.push(range === undefined ? path : `${path} from ${range}`);
    const body = this.files.get(path);
    if (this.fault(request, response, body ?? Buffer.alloc(0))) return;
    if (body === undefined) {
      response.writeHead(404).end('not here');
    } else if (range === undefined) {
      response.writeHead(200, { 'Content-Length': body.length }).end(body);
    } else if (Number(range) >= body.length) {
      response.writeHead(416, { 'Content-Range': `bytes */${body.length}` }).end();
    } else {
      const rest = body.subarray(Number(range));
      const contentRange = `bytes ${range}-${body.length - 1}/${body.length}`;
      response.writeHead(206, { 'Content-Length': rest.length, 'Content-Range': contentRange }).end(rest);
    }
  }

  /** Adds a suite under `/<base>/dists/<name>`, signed, and its packages. */
  async addSuite(base: string, name: string, suite: FixtureSuite): Promise<void> {
    const stanzas = suite.packages.map(({ name: packageName, version, depends, file }) => {
      const path = `pool/main/${packageName}_${version}.deb`;
      this.files.set(`/${base}/${path}`, file);
      return [
        `Package: ${packageName}`,
        `Version: ${version}`,
        ...(depends === undefined ? [] : [`Depends: ${depends}`]),
        `Filename: ${path}`,
        `Size: ${file.length}`,
        `SHA256: ${sha256(file)}`,
        'Description: a test package',
        ' of several lines',
        '',
      ].join('\n');
    });
    const index = gzipSync(stanzas.join('\n'));
    const folder = `/${base}/dists/${name}`;
    this.files.set(`${folder}/main/binary-amd64/by-hash/SHA256/${sha256(index)}`, index);
    const text = [
      `Origin: ${suite.origin ?? 'Debian'}`,
      `Codename: ${name}`,
      'Date: Sun, 01 Nov 2026 00:00:00 UTC',
      ...(suite.validUntil === undefined ? [] : [`Valid-Until: ${suite.validUntil}`]),
      'Acquire-By-Hash: yes',
      'SHA256:',
      ` ${sha256(index)} ${index.length} main/binary-amd64/Packages.gz`,
      '',
    ].join('\n');
    const message = await createCleartextMessage({ text });
    const signed = await sign({
      message,
      signingKeys: suite.signedBy.privateKey,
      date: new Date('2026-11-01'),
    });
    this.files.set(`${folder}/InRelease`, Buffer.from(signed));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
