/** A suite's signed index, `InRelease`: verified, dated, parsed (DebianRepository/Format). */
import { VmError } from '../../base/errors.ts';
import type { Signatures } from '../../base/ports.ts';
import { parseParagraph } from './control.ts';

export interface Trust {
  /** Fingerprints of the primary keys that may sign, lower-case hexadecimal. */
  readonly fingerprints: readonly string[];
  /** Public keys, armored or binary. Keys that are not trusted are no danger here. */
  readonly keys: readonly Uint8Array[];
}

export interface IndexFile {
  readonly sha256: string;
  readonly size: number;
}

export interface Release {
  readonly origin: string;
  readonly codename: string;
  readonly byHash: boolean;
  /** Paths relative to the suite's folder. */
  readonly files: ReadonlyMap<string, IndexFile>;
}

/**
 * @param url where the message came from, for errors
 * @throws VmError SIGNATURE_INVALID, INDEX_EXPIRED
 */
export async function verifyRelease(
  message: Uint8Array,
  url: string,
  trust: Trust,
  signatures: Signatures,
  nowMs: number,
): Promise<Release> {
  const signed = await signatures.verifyClearSigned(message, trust.keys, nowMs).catch((cause: unknown) => {
    throw new VmError('SIGNATURE_INVALID', {
      message: `${url} is no signed package index`,
      remedy:
        'Name another mirror with --mirror URL; a log-in page or a proxy may have answered instead of the mirror',
      cause,
    });
  });
  if (!signed.signers.some((signer) => trust.fingerprints.includes(signer))) {
    const why = signed.problems.length === 0 ? 'other keys signed it' : signed.problems.join('; ');
    throw new VmError('SIGNATURE_INVALID', {
      message: `${url} is not signed by a key of the Debian archive (${why})`,
      remedy: 'Name another mirror with --mirror URL. If the clock of this machine is wrong, set it',
      data: { url, signers: signed.signers },
    });
  }
  return parseRelease(signed.text, url, nowMs);
}

function parseRelease(text: string, url: string, nowMs: number): Release {
  const fields = parseParagraph(text.replaceAll('\r\n', '\n'));
  const validUntil = fields.get('valid-until');
  if (validUntil !== undefined && !(Date.parse(validUntil) >= nowMs)) {
    throw new VmError('INDEX_EXPIRED', {
      message: `${url} was valid until ${validUntil}`,
      remedy:
        'The mirror is out of date, or the clock of this machine is wrong. Name another mirror with --mirror URL',
      data: { url, validUntil },
    });
  }
  const files = new Map<string, IndexFile>();
  for (const line of (fields.get('sha256') ?? '').split('\n')) {
    const [sha256, size, path] = line.split(/\s+/);
    if (sha256 === undefined || size === undefined || path === undefined) continue;
    if (/^[0-9a-f]{64}$/.test(sha256) && /^\d+$/.test(size)) files.set(path, { sha256, size: Number(size) });
  }
  return {
    origin: fields.get('origin') ?? '',
    codename: fields.get('codename') ?? '',
    byHash: fields.get('acquire-by-hash') === 'yes',
    files,
  };
}
