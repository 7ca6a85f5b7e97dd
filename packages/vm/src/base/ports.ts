/**
 * Ports: everything the host-free core may ask of the outside. Entry points (`host/node`, later
 * `host/browser`) implement them; tests pass their own.
 */
export interface Clock {
  /** Monotonic time in nanoseconds since an arbitrary start; a double, so exact below 2^53 ns (104 days). */
  nowNs(): number;
  /** Wall clock: nanoseconds since 1970-01-01T00:00:00Z. */
  realtimeNs(): bigint;
}

export interface Randomness {
  /** Fills `target` (not shared memory) with cryptographically secure bytes. */
  fill(target: Uint8Array): void;
}

export interface Timer {
  /** Calls `callback` once after `delayMs`, unless the returned function is called before. */
  after(delayMs: number, callback: () => void): () => void;
}

export type CompressionFormat = 'gzip' | 'xz' | 'zstd';

export interface Decompressor {
  /**
   * Decompresses a stream. The result rejects, with any error, when the bytes are damaged or end early; bytes after
   * the compressed data's own end are an error too.
   */
  decompress(format: CompressionFormat, source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

export interface HttpResponse {
  readonly status: number;
  /** Total length of the body that follows, when the server says. */
  readonly contentLength: number | undefined;
  /** `Content-Range` as sent, for status 206 and 416. */
  readonly contentRange: string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** Drops a body that is not wanted. */
  discard(): void;
}

export interface Http {
  /**
   * GET; redirects are followed. Rejects when there is no connection; the body rejects when the connection ends
   * early. Any status is a response.
   */
  get(url: string, headers?: Readonly<Record<string, string>>): Promise<HttpResponse>;
}

/** Files under absolute paths. Absent files are `undefined`; other failures reject with the host's error and its `code`. */
export interface Files {
  read(path: string): Promise<Uint8Array | undefined>;
  sizeOf(path: string): Promise<number | undefined>;
  /** Names in a folder, sorted; empty when there is no such folder. */
  list(path: string): Promise<readonly string[]>;
  makeFolder(path: string): Promise<void>;
  /** Opens for writing at the end, creating the file. */
  append(path: string): Promise<FileAppender>;
  /** Streams a file's content. */
  stream(path: string): AsyncIterable<Uint8Array>;
  /** Atomically takes the place of `to`. */
  rename(from: string, to: string): Promise<void>;
  /** No error when absent. */
  remove(path: string): Promise<void>;
  /** Waits until no other process holds the lock; the holder's death frees it. */
  lock(path: string): Promise<FileLock>;
}

export interface FileAppender {
  write(chunk: Uint8Array): Promise<void>;
  /** Brings everything to stable storage. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileLock {
  release(): Promise<void>;
}

export interface Sha256 {
  update(chunk: Uint8Array): void;
  /** Lower-case hexadecimal; ends the computation. */
  digest(): string;
}

export interface Hashing {
  sha256(): Sha256;
}

export interface SignedText {
  /** The text that the signatures cover. */
  readonly text: string;
  /** Fingerprints of the primary keys, lower-case hexadecimal, whose signatures are valid at the given time. */
  readonly signers: readonly string[];
  /** Why the other signatures do not count. */
  readonly problems: readonly string[];
}

export interface Signatures {
  /** Verifies a clear-signed OpenPGP message against armored or binary public keys. Rejects when it is none. */
  verifyClearSigned(message: Uint8Array, keys: readonly Uint8Array[], nowMs: number): Promise<SignedText>;
}

/** A disk's bytes. Calls may overlap; each resolves when its bytes are transferred in full, or rejects. */
export interface BlockFile {
  readonly sizeBytes: number;
  /** Fills `target` (not shared memory) from `offsetBytes` on. */
  read(offsetBytes: number, target: Uint8Array): Promise<void>;
  /** Writes all of `source` (not shared memory, unchanged until it resolves). */
  write(offsetBytes: number, source: Uint8Array): Promise<void>;
  /** Resolves when everything written before is on stable storage. */
  flush(): Promise<void>;
}
