/**
 * The keys that sign Debian's archive (the page "keys" of the FTP masters): the root of trust for everything
 * that is downloaded. Key material may come from anywhere; only these fingerprints count.
 */
export const DEBIAN_ARCHIVE_KEYS: Readonly<Record<string, string>> = {
  b8b80b5b623eab6ad8775c45b7c5d7d6350947f8: 'Debian Archive Automatic Signing Key (12/bookworm)',
  '05ab90340c0c5e797f44a8c8254cf3b5aec0a8f0': 'Debian Security Archive Automatic Signing Key (12/bookworm)',
  '4d64fec119c2029067d6e791f8d2585b8783d481': 'Debian Stable Release Key (12/bookworm)',
  '04b54c3cdca79751b16bc6b5225629df75b188bd': 'Debian Archive Automatic Signing Key (13/trixie)',
  '5e04a1e3223a19a20706e20f9904613d4cce68c6': 'Debian Security Archive Automatic Signing Key (13/trixie)',
  '41587f7db8c774bccf131416762f67a0b2c39de4': 'Debian Stable Release Key (13/trixie)',
};

export const DEBIAN_FINGERPRINTS: readonly string[] = Object.keys(DEBIAN_ARCHIVE_KEYS);

/** Where Debian and its derivatives keep the same keys, newer than ours if the host is newer. */
export const HOST_KEYRINGS: readonly string[] = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
];
