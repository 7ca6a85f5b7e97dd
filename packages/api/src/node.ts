/** Reaches a daemon on this host: HTTP and WebSockets over a unix socket or, on Windows, a named pipe. */
import { ApiClient } from './client.ts';
import { NodeTransport } from './node/transport.ts';

export { NodeTransport } from './node/transport.ts';

/** @param socketPath of the daemon; nothing is connected before the first call */
export function connect(socketPath: string): ApiClient {
  return new ApiClient(new NodeTransport(socketPath));
}
