/** The whole way from a mirror to an image, with a small archive of our own and everything that can go wrong. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import {
  DebianMirror,
  deb,
  type FixturePackage,
  makeSigningKey,
  type SigningKey,
} from '../../../../test/support/debian-mirror.ts';
import { bzImage, elfKernel, elfModule } from '../../../../test/support/elf.ts';
import type { ErrorCode } from '../base/error-codes.ts';
import { VmError } from '../base/errors.ts';
import type { Files } from '../base/ports.ts';
import { nodeFiles } from '../host/node/cache-files.ts';
import { nodeDecompressor } from '../host/node/decompressor.ts';
import { nodeHttp } from '../host/node/download-http.ts';
import { nodeHashing, nodeSignatures } from '../host/node/signatures.ts';
import { type BusyboxPorts, prepareBusybox } from './busybox.ts';
import { Cache } from './cache.ts';

const NOW = BigInt(Date.parse('2026-11-20T00:00:00Z')) * 1_000_000n;
const KERNEL = 'linux-image-6.1.0-99-cloud-amd64';
const vmlinux = elfKernel(new Uint8Array(4000).fill(7));

const MODULES: Readonly<Record<string, string>> = {
  'virtio/virtio_ring': '',
  'virtio/virtio': 'virtio_ring',
  'virtio/virtio_mmio': 'virtio,virtio_ring',
  'block/virtio_blk': 'virtio,virtio_ring',
  'char/virtio_console': 'virtio,virtio_ring,odd-helper',
  'misc/odd-helper': '',
};

function kernelDeb(modules: Readonly<Record<string, string>> = MODULES): Buffer {
  const folder = './lib/modules/6.1.0-99-cloud-amd64';
  return deb([
    { path: './boot/vmlinuz-6.1.0-99-cloud-amd64', data: bzImage(gzipSync(vmlinux)) },
    ...Object.entries(modules).map(([path, depends]) => ({
      path: `${folder}/kernel/drivers/${path}.ko${path.startsWith('misc') ? '.zst' : ''}`,
      data: path.startsWith('misc') ? zstdCompressSync(elfModule({ depends })) : elfModule({ depends }),
    })),
    { path: `${folder}/modules.builtin`, data: 'kernel/drivers/acpi/button.ko\n' },
  ]);
}

const busyboxDeb = (): Buffer => deb([{ path: './bin/busybox', data: 'a busybox' }]);

const kernelPackages = (version: string, file: Buffer): FixturePackage[] => [
  { name: 'linux-image-cloud-amd64', version, depends: `${KERNEL} (= ${version})`, file: deb([]) },
  { name: KERNEL, version, file },
];
const busyboxPackage = (): FixturePackage => ({
  name: 'busybox-static',
  version: '1:1.35-1',
  file: busyboxDeb(),
});

describe('prepareBusybox', () => {
  let key: SigningKey;
  let mirror: DebianMirror;
  let folder: string;

  before(async () => {
    key = await makeSigningKey();
  });
  beforeEach(async () => {
    mirror = await DebianMirror.start();
    folder = mkdtempSync(join(tmpdir(), 'viv-busybox-'));
    const packages = [...kernelPackages('6.1.1-1', kernelDeb()), busyboxPackage()];
    await mirror.addSuite('debian', 'bookworm', { packages, signedBy: key });
  });
  afterEach(async () => {
    await mirror[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const ports = (changes: Partial<BusyboxPorts> & { files?: Files } = {}): BusyboxPorts => {
    const files = changes.files ?? nodeFiles;
    return {
      files,
      cache: new Cache(join(folder, 'cache'), files, nodeHashing),
      http: nodeHttp,
      decompressor: nodeDecompressor,
      signatures: nodeSignatures,
      clock: { nowNs: () => 0, realtimeNs: () => NOW },
      trust: { fingerprints: [key.fingerprint], keys: [key.publicKey] },
      scripts: { init: Buffer.from('#!init'), session: Buffer.from('#!session') },
      onProgress: () => {},
      ...changes,
    };
  };
  const prepare = (changes: Partial<BusyboxPorts> = {}, base = `${mirror.origin}/debian`) =>
    prepareBusybox(ports(changes), { kernel: 'debian-12-cloud', mirrors: { named: [base] }, refresh: false });

  /** Every file under its final name is whole; nothing is half-written. */
  function checkCache(partials: number): void {
    const cache = join(folder, 'cache');
    const names = (part: string): string[] => {
      try {
        return readdirSync(join(cache, part));
      } catch {
        return [];
      }
    };
    for (const name of names('sha256')) {
      const hash = createHash('sha256')
        .update(readFileSync(join(cache, 'sha256', name)))
        .digest('hex');
      assert.equal(hash, name);
    }
    assert.equal(names('partial').length, partials, `partial: ${names('partial').join(' ')}`);
    assert.deepEqual(
      names('').filter((name) => name.startsWith('lock')),
      [],
    );
  }

  async function fails(
    code: ErrorCode,
    message: RegExp,
    run: () => Promise<unknown>,
    partials = 0,
  ): Promise<VmError> {
    let failure: VmError | undefined;
    await assert.rejects(run(), (error) => {
      assert.ok(error instanceof VmError, String(error));
      failure = error;
      return true;
    });
    assert.ok(failure !== undefined);
    assert.equal(failure.code, code, failure.message);
    assert.match(failure.message, message);
    assert.notEqual(failure.remedy ?? '', '');
    checkCache(partials);
    return failure;
  }

  it('makes the image: kernel unpacked, modules in order, scripts on top; then takes it from the cache', async () => {
    const image = await prepare();
    assert.equal(image.release, '6.1.0-99-cloud-amd64');
    assert.deepEqual(image.packages, [`${KERNEL} 6.1.1-1`, 'busybox-static 1:1.35-1']);
    assert.ok(vmlinux.equals(await image.kernel()));
    const initrd = Buffer.from(image.initrd).toString('latin1');
    const order =
      /virtio_ring\.ko\nvirtio\.ko\nvirtio_mmio\.ko\nodd_helper\.ko\nvirtio_console\.ko\nvirtio_blk\.ko\n/;
    assert.match(initrd, order);
    for (const part of ['a busybox', '#!init', '#!session', 'depends=virtio,virtio_ring\0']) {
      assert.ok(initrd.includes(part), part);
    }
    checkCache(0);
    mirror.requests.length = 0;
    const again = await prepare({ scripts: { init: Buffer.from('#!newer'), session: Buffer.from('x') } });
    assert.deepEqual(mirror.requests, []);
    assert.ok(Buffer.from(again.initrd).includes('#!newer'));
    assert.ok(vmlinux.equals(await again.kernel()));
  });

  it('makes it anew when a part of it is gone from the cache', async () => {
    const image = await prepare();
    const sha256 = join(folder, 'cache/sha256');
    for (const name of readdirSync(sha256)) {
      if (vmlinux.equals(readFileSync(join(sha256, name)))) rmSync(join(sha256, name));
    }
    await assert.rejects(image.kernel(), { code: 'CACHE_UNUSABLE' });
    assert.ok(vmlinux.equals(await (await prepare()).kernel()));
  });

  it('prefers the newer version in the security archive, and does without one', async () => {
    const packages = kernelPackages('6.1.10-1', kernelDeb());
    await mirror.addSuite('debian-security', 'bookworm-security', { packages, signedBy: key });
    assert.equal((await prepare()).packages[0], `${KERNEL} 6.1.10-1`);
  });

  it('finds the mirror among the entries of apt, in both formats', async () => {
    await mirror.addSuite('other', 'bookworm', { packages: [], origin: 'Somebody', signedBy: key });
    const apt = join(folder, 'apt');
    mkdirSync(join(apt, 'sources.list.d'), { recursive: true });
    writeFileSync(
      join(apt, 'sources.list'),
      `# deb http://no.invalid/debian x main\ndeb ${mirror.origin}/other/ x main\n`,
    );
    const source = `Types: deb deb-src\nURIs: ${mirror.origin}/debian/\nSuites: trixie\nComponents: main\n`;
    writeFileSync(join(apt, 'sources.list.d/debian.sources'), source);
    const options = { kernel: 'debian-12-cloud', refresh: false } as const;
    const found = await prepareBusybox(ports(), {
      ...options,
      mirrors: { named: [undefined, ''], aptFolder: apt },
    });
    assert.equal(found.release, '6.1.0-99-cloud-amd64');
    rmSync(join(folder, 'cache'), { recursive: true });
    rmSync(join(apt, 'sources.list.d'), { recursive: true });
    await fails('MIRROR_UNKNOWN', /no Debian mirror is known/, () =>
      prepareBusybox(ports(), { ...options, mirrors: { named: [], aptFolder: apt } }),
    );
  });

  it('refuses an address that is none', async () => {
    await fails('USAGE', /'somewhere'/, () => prepare({}, 'somewhere'));
    await fails('USAGE', /ftp:/, () => prepare({}, 'ftp://127.0.0.1/debian'));
  });

  it('reports a mirror that cannot be reached', async () => {
    const gone = await DebianMirror.start();
    const base = `${gone.origin}/debian`;
    await gone[Symbol.asyncDispose]();
    const error = await fails('DOWNLOAD_FAILED', /cannot be reached: .*ECONNREFUSED/, () =>
      prepare({}, base),
    );
    assert.match(error.remedy ?? '', /proxy/);
  });

  it('reports a folder that is no mirror, and a file that is missing', async () => {
    await fails('DOWNLOAD_FAILED', /neither/, () => prepare({}, `${mirror.origin}/elsewhere`));
    for (const path of mirror.files.keys()) if (path.includes(KERNEL)) mirror.files.delete(path);
    const error = await fails('DOWNLOAD_FAILED', /status 404/, () => prepare());
    assert.equal(error.data['status'], 404);
  });

  it('refuses an index that another key signed, that changed, or that is a web page', async () => {
    const inRelease = '/debian/dists/bookworm/InRelease';
    const good = mirror.files.get(inRelease) as Buffer;
    const packages = [...kernelPackages('6.1.1-1', kernelDeb()), busyboxPackage()];
    await mirror.addSuite('debian', 'bookworm', { packages, signedBy: await makeSigningKey() });
    await fails('SIGNATURE_INVALID', /not signed by a key of the Debian archive/, () => prepare());
    mirror.files.set(
      inRelease,
      Buffer.from(good.toString().replace('Codename: bookworm', 'Codename: bookwork')),
    );
    await fails('SIGNATURE_INVALID', /not signed by a key/, () => prepare());
    mirror.files.set(inRelease, Buffer.from('<html>Please log in</html>'));
    await fails('SIGNATURE_INVALID', /no signed package index/, () => prepare());
  });

  it('refuses an index whose time is over', async () => {
    const packages = [...kernelPackages('6.1.1-1', kernelDeb()), busyboxPackage()];
    const validUntil = 'Thu, 19 Nov 2026 23:59:00 UTC';
    await mirror.addSuite('debian', 'bookworm', { packages, validUntil, signedBy: key });
    await fails('INDEX_EXPIRED', /was valid until Thu, 19 Nov/, () => prepare());
  });

  it('refuses a suite under the name of another', async () => {
    await mirror.addSuite('debian', 'bookworm-security', { packages: [], signedBy: key });
    const wrong = mirror.files.get('/debian/dists/bookworm-security/InRelease') as Buffer;
    mirror.files.set('/debian/dists/bookworm/InRelease', wrong);
    await fails('DOWNLOAD_FAILED', /neither/, () => prepare());
  });

  it('refuses files that do not have their hash or length', async () => {
    for (const part of ['by-hash', KERNEL]) {
      const path = [...mirror.files.keys()].find((candidate) => candidate.includes(part)) as string;
      const good = mirror.files.get(path) as Buffer;
      mirror.files.set(path, Buffer.from(good.map((byte, index) => (index === 100 ? byte ^ 1 : byte))));
      await fails('HASH_MISMATCH', /another hash/, () => prepare());
      mirror.files.set(path, Buffer.concat([good, Buffer.from('more')]));
      await fails('HASH_MISMATCH', /longer/, () => prepare());
      mirror.files.set(path, good);
    }
    await prepare();
  });

  it('names the package that is not in the index', async () => {
    const packages = [...kernelPackages('6.1.1-1', kernelDeb())];
    await mirror.addSuite('debian', 'bookworm', { packages, signedBy: key });
    await fails('PACKAGE_NOT_FOUND', /busybox-static/, () => prepare());
    await mirror.addSuite('debian', 'bookworm', { packages: packages.slice(0, 1), signedBy: key });
    await fails('PACKAGE_NOT_FOUND', new RegExp(KERNEL), () => prepare());
  });

  it('names the module that the kernel package lacks', async () => {
    const { 'block/virtio_blk': _, 'misc/odd-helper': __, ...rest } = MODULES;
    const packages = [...kernelPackages('6.1.1-1', kernelDeb(rest)), busyboxPackage()];
    await mirror.addSuite('debian', 'bookworm', { packages, signedBy: key });
    await fails('MODULE_MISSING', /odd_helper\.ko, virtio_blk\.ko/, () => prepare());
  });

  it('reports a package that does not unpack', async () => {
    const broken = kernelDeb().subarray(0, -200);
    const packages = [...kernelPackages('6.1.1-1', broken), busyboxPackage()];
    await mirror.addSuite('debian', 'bookworm', { packages, signedBy: key });
    await fails('ARCHIVE_CORRUPT', new RegExp(KERNEL), () => prepare());
  });

  /** Sends half of what is asked for, then cuts the connection. */
  const cut = (part: string, times: number): void => {
    let left = times;
    mirror.fault = (request, response, body) => {
      if (!(request.url ?? '').includes(part) || left-- <= 0) return false;
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      const length = body.length - from;
      const head = from === 0 ? {} : { 'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}` };
      response.writeHead(from === 0 ? 200 : 206, { 'Content-Length': length, ...head });
      response.write(body.subarray(from, from + Math.ceil(length / 2)), () => response.socket?.end());
      return true;
    };
  };
  const requestsFor = (part: string): string[] => mirror.requests.filter((request) => request.includes(part));

  it('goes on where a connection broke', async () => {
    cut(KERNEL, 2);
    await prepare();
    const requests = requestsFor(KERNEL);
    assert.equal(requests.length, 3);
    assert.match(requests[1] ?? '', / from \d+$/);
    checkCache(0);
  });

  it('keeps what has arrived when it gives up, and goes on from there in the next run', async () => {
    cut(KERNEL, Number.POSITIVE_INFINITY);
    const error = await fails('DOWNLOAD_FAILED', /broke \d times/, () => prepare(), 1);
    mirror.fault = () => false;
    mirror.requests.length = 0;
    await prepare();
    assert.match(requestsFor(KERNEL).join(), new RegExp(` from ${Number(error.data['have'])}$`));
    checkCache(0);
  });

  it('starts again when the server cannot go on, or when the part was damaged', async () => {
    for (const damage of [false, true]) {
      cut(KERNEL, Number.POSITIVE_INFINITY);
      await fails('DOWNLOAD_FAILED', /broke/, () => prepare(), 1);
      mirror.fault = (request, response, body) => {
        if (damage || !(request.url ?? '').includes(KERNEL)) return false;
        response.writeHead(200).end(body); // As a server without ranges answers.
        return true;
      };
      const partial = join(folder, 'cache/partial', readdirSync(join(folder, 'cache/partial'))[0] ?? '');
      if (damage) writeFileSync(partial, readFileSync(partial).fill(0x20, 0, 10));
      await prepare();
      checkCache(0);
      rmSync(join(folder, 'cache'), { recursive: true });
    }
  });

  it('survives a full disk without leaving anything half-written', async () => {
    for (const room of [0, 200, 3000, 9000]) {
      let left = room;
      const files: Files = {
        ...nodeFiles,
        async append(path) {
          const file = await nodeFiles.append(path);
          return {
            ...file,
            async write(chunk) {
              left -= chunk.length;
              if (left < 0)
                throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
              await file.write(chunk);
            },
          };
        },
      };
      await fails('DISK_FULL', /no space left/, () => prepare({ files }));
    }
  });

  it('reports a cache folder that cannot be written', async () => {
    writeFileSync(join(folder, 'cache'), 'a file');
    await assert.rejects(prepare(), { code: 'CACHE_UNUSABLE' });
  });

  it('is made once when several ask at the same time', async () => {
    const images = await Promise.all([prepare(), prepare(), prepare()]);
    assert.equal(requestsFor(KERNEL).length, 1);
    for (const image of images) assert.ok(vmlinux.equals(await image.kernel()));
    checkCache(0);
  });

  it('takes over the lock of a process that died', async () => {
    mkdirSync(join(folder, 'cache'), { recursive: true });
    writeFileSync(join(folder, 'cache/lock'), '999999999\n');
    await prepare();
    checkCache(0);
  });
});
