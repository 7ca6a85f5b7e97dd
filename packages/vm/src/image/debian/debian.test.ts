/** Debian's text formats: sources, control files, versions; and the trusted keys. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readKeys } from 'openpgp';
import { missing } from '../../../../../test/support/needs.ts';
import { nodeSignatures } from '../../host/node/signatures.ts';
import { parseDeb822Sources, parseSourcesList } from './apt-sources.ts';
import { findPackages, parseParagraphs } from './control.ts';
import { verifyRelease } from './release.ts';
import { DEBIAN_FINGERPRINTS } from './trusted-keys.ts';
import { compareVersions } from './version.ts';

describe('apt sources', () => {
  it('reads the one-line style', () => {
    const text = [
      'deb http://archive.test/debian bookworm main contrib',
      ' deb [arch=amd64 signed-by=/k.gpg] https://mirror.test/debian/ stable main # ours',
      '# deb http://commented.test/debian sid main',
      'deb-src http://source.test/debian sid main',
      'deb cdrom:[Debian]/ bookworm main',
      'nonsense',
    ].join('\n');
    assert.deepEqual(parseSourcesList(text), [
      { uri: 'http://archive.test/debian', suites: ['bookworm'] },
      { uri: 'https://mirror.test/debian', suites: ['stable'] },
      { uri: 'cdrom:[Debian]', suites: ['bookworm'] },
    ]);
  });

  it('reads the deb822 style: several URIs, continued fields, comments, what is disabled', () => {
    const text = [
      '# Debian',
      'Types: deb deb-src',
      'URIs: http://a.test/debian http://b.test/debian/',
      'Suites: bookworm',
      ' bookworm-updates',
      'Components: main',
      'Signed-By:',
      ' -----BEGIN PGP PUBLIC KEY BLOCK-----',
      ' .',
      '',
      'Types: deb-src',
      'URIs: http://c.test/debian',
      'Suites: sid',
      '  ',
      'Enabled: no',
      'Types: deb',
      'URIs: http://d.test/debian',
      'Suites: sid',
    ].join('\r\n');
    const suites = ['bookworm', 'bookworm-updates'];
    assert.deepEqual(parseDeb822Sources(text), [
      { uri: 'http://a.test/debian', suites },
      { uri: 'http://b.test/debian', suites },
    ]);
  });
});

describe('control files', () => {
  it('reads paragraphs with continued fields', () => {
    const [first, second, ...rest] = parseParagraphs('A: 1\nB: x\n  y\n\n\nC: 3\n');
    assert.deepEqual(
      [...(first ?? [])],
      [
        ['a', '1'],
        ['b', 'x\ny'],
      ],
    );
    assert.deepEqual([...(second ?? [])], [['c', '3']]);
    assert.deepEqual(rest, []);
  });

  it('finds packages however the text is cut', async () => {
    const text = Buffer.from(
      'Package: a\nVersion: 1\n\nPackage: ab\nVersion: 2\n\nPackage: ü\nVersion: 3\n\n',
    );
    for (let size = 1; size < text.length; size++) {
      const found: string[] = [];
      const pieces = async function* (): AsyncIterable<Uint8Array> {
        for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size);
      };
      for await (const fields of findPackages(pieces(), (name) => name === 'ab' || name === 'ü')) {
        found.push(`${fields.get('package')} ${fields.get('version')}`);
      }
      assert.deepEqual(found, ['ab 2', 'ü 3']);
    }
  });
});

describe('compareVersions', () => {
  /** Each older than the next. */
  const ORDER = [
    '1.0~rc1-1',
    '1.0-1~bpo12+1',
    '1.0-1',
    '1.0-1+b1',
    '1.0-1.1',
    '1.0a-1',
    '1.0+dfsg-1',
    '1.0.1-1',
    '1.9-1',
    '1.10-1',
    '6.1.176-1',
    '6.1.192-2',
    '6.12.95-1~bpo12+1',
    '6.12.117-1',
    '1:0.1-1',
    '1:1.35.0-4+deb12u1',
    '1:1.35.0-4+deb12u1+b1',
    '2:0',
  ];
  const sign = (a: string, b: string): number => Math.sign(compareVersions(a, b));

  it('orders epochs, numbers, letters and tildes', () => {
    ORDER.forEach((a, i) => ORDER.forEach((b, j) => assert.equal(sign(a, b), Math.sign(i - j), `${a} ${b}`)));
    assert.equal(sign('1.0', '0:1.0-0'), 0);
    assert.equal(sign('1.00-1', '1.0-01'), 0);
  });

  it('agrees with dpkg', { skip: missing('dpkg') }, () => {
    ORDER.slice(1).forEach((b, index) => {
      execFileSync('dpkg', ['--compare-versions', ORDER[index] as string, 'lt', b]);
    });
  });
});

describe('trusted keys', () => {
  it('are the keys of the committed keyring, no more and no less', async () => {
    const file = new URL('../../../keys/debian-archive-keyring.asc', import.meta.url);
    const keys = await readKeys({ armoredKeys: readFileSync(file, 'utf8') });
    const fingerprints = keys.map((key) => key.getFingerprint());
    assert.deepEqual(fingerprints.toSorted(), DEBIAN_FINGERPRINTS.toSorted());
    assert.ok(keys.every((key) => !key.isPrivate()));
  });

  it('verify what gpg signs, and nothing that changed afterwards', { skip: missing('gpg') }, async () => {
    const home = mkdtempSync(join(tmpdir(), 'viv-gpg-'));
    chmodSync(home, 0o700);
    const gpg = (args: string[], input = ''): Buffer =>
      execFileSync('gpg', ['--homedir', home, '--batch', '--passphrase', '', '-q', ...args], {
        input,
        stdio: 'pipe',
      });
    try {
      gpg(['--quick-generate-key', 'Archive <a@test>', 'ed25519', 'sign', 'never']);
      const [, fingerprint = ''] = /^fpr:+([0-9A-F]+):/m.exec(gpg(['-k', '--with-colons']).toString()) ?? [];
      const hash = 'ab'.repeat(32);
      const text = `Origin: Debian\nCodename: bookworm\n- dashes\nSHA256:\n ${hash} 12 main/x.gz\n`;
      const signed = gpg(['--clearsign'], text);
      const trust = {
        fingerprints: [fingerprint.toLowerCase()],
        keys: [gpg(['--export']), Buffer.from('junk')],
      };
      const release = await verifyRelease(signed, 'url', trust, nodeSignatures, Date.now() + 5000);
      assert.equal(release.origin, 'Debian');
      assert.deepEqual(release.files.get('main/x.gz'), { sha256: hash, size: 12 });
      const changed = Buffer.from(signed.toString().replace('bookworm', 'bookwarm'));
      await assert.rejects(verifyRelease(changed, 'url', trust, nodeSignatures, Date.now() + 5000), {
        code: 'SIGNATURE_INVALID',
      });
      const others = { ...trust, fingerprints: DEBIAN_FINGERPRINTS };
      await assert.rejects(verifyRelease(signed, 'url', others, nodeSignatures, Date.now() + 5000), {
        code: 'SIGNATURE_INVALID',
      });
    } finally {
      execFileSync('gpgconf', ['--homedir', home, '--kill', 'all']);
      rmSync(home, { recursive: true, force: true });
    }
  });
});
