/** Every error code, with the title that all its occurrences share. Add rows; never reuse a code. */
export const ERROR_CODES = {
  KERNEL_NOT_A_KERNEL: { title: 'The file is not a Linux kernel' },
  KERNEL_CORRUPT: { title: 'The kernel file is damaged' },
  MEMORY_TOO_LARGE: { title: 'More memory than this engine can give' },
  MEMORY_TOO_SMALL: { title: 'Too little memory for this machine' },
  CPUS_UNSUPPORTED: { title: 'This number of CPUs is not supported' },
  DISK_OPEN_FAILED: { title: 'The disk file cannot be opened' },
  FILE_NOT_FOUND: { title: 'A file does not exist' },
  MODULE_MISSING: { title: 'The kernel package lacks a module the machine needs' },
  MIRROR_UNKNOWN: { title: 'No Debian mirror is known' },
  DOWNLOAD_FAILED: { title: 'A download failed' },
  SIGNATURE_INVALID: { title: 'A package index has no valid signature' },
  INDEX_EXPIRED: { title: 'A package index is out of date' },
  HASH_MISMATCH: { title: 'A file does not match its hash' },
  PACKAGE_NOT_FOUND: { title: 'A package is not in the index' },
  ARCHIVE_CORRUPT: { title: 'A package archive is damaged' },
  CACHE_UNUSABLE: { title: 'The cache folder cannot be used' },
  DISK_FULL: { title: 'The disk is full' },
  USAGE: { title: 'The command line is not understood' },
  IMAGE_UNKNOWN: { title: 'No such image' },
  ENGINE_UNAVAILABLE: { title: 'The engine is not available' },
  ENGINE_FAILED: { title: 'The engine failed' },
  VM_STATE: { title: 'The machine is in the wrong state for this' },
  STATE_INVALID: { title: 'A saved state is damaged' },
  GUEST_CRASHED: { title: 'The guest stopped abnormally' },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;
