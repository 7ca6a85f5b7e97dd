/** What the client asks of whatever carries its requests. An `ApiError` is all that comes out of it but an abort. */

export interface TransportRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Until the head of the answer is there. */
  readonly timeoutMs: number;
  /** Between two pieces of the body; undefined = no bound. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface TransportResponse {
  readonly status: number;
  /** By name in lower case. */
  header(name: string): string | undefined;
  /** Read to its end, or left: that ends the exchange. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** A WebSocket of binary messages. */
export interface MessageSocket {
  /** In order; whoever does not read holds the other side back. Ends with the connection. */
  readonly messages: AsyncIterable<Uint8Array>;
  /** Resolves when more may be sent. */
  send(message: Uint8Array): Promise<void>;
  close(): void;
}

export interface Transport {
  request(request: TransportRequest): Promise<TransportResponse>;
  openSocket(path: string, signal?: AbortSignal): Promise<MessageSocket>;
  /** Connections that wait for another request. */
  close(): void;
}
