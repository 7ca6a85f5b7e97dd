/** OpenPGP signatures by the openpgp package, loaded only when an index is verified. */
import { createHash } from 'node:crypto';
import type { Hashing, SignedText, Signatures } from '../../base/ports.ts';

export const nodeHashing: Hashing = {
  sha256() {
    const hash = createHash('sha256');
    return { update: (chunk) => void hash.update(chunk), digest: () => hash.digest('hex') };
  },
};

async function verifyClearSigned(
  message: Uint8Array,
  keyrings: readonly Uint8Array[],
  nowMs: number,
): Promise<SignedText> {
  const openpgp = await import('openpgp');
  const keys = [];
  for (const keyring of keyrings) {
    const armored = keyring[0] === 0x2d;
    // A keyring that cannot be read adds no keys; without any, no signature counts.
    const read = armored
      ? openpgp.readKeys({ armoredKeys: new TextDecoder().decode(keyring) })
      : openpgp.readKeys({ binaryKeys: keyring });
    keys.push(...(await read.catch(() => [])));
  }
  const cleartextMessage = await openpgp.readCleartextMessage({
    cleartextMessage: new TextDecoder().decode(message),
  });
  const { data, signatures } = await openpgp.verify({
    message: cleartextMessage,
    verificationKeys: keys,
    date: new Date(nowMs),
  });
  const signers = new Set<string>();
  const problems: string[] = [];
  for (const { keyID, verified } of signatures) {
    try {
      await verified;
      for (const key of keys) if (key.getKeys(keyID).length > 0) signers.add(key.getFingerprint());
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { text: data, signers: [...signers], problems };
}

export const nodeSignatures: Signatures = { verifyClearSigned };
