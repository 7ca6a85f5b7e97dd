/**
 * The framing of gdb's remote serial protocol (gdb manual, appendix E): `$data#checksum`, acknowledged by `+`
 * until no-ack mode; byte 3 outside a packet interrupts. Characters are bytes (Latin-1).
 */
export interface PacketEvents {
  packet(data: string): void;
  interrupt(): void;
}

/** Longest packet taken; announced as PacketSize. Longer ones are dropped. */
export const PACKET_MAX = 0x4000;

const checksum = (text: string): string => {
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i);
  return (sum & 0xff).toString(16).padStart(2, '0');
};

export class PacketReader {
  /** False after QStartNoAckMode. */
  acknowledge = true;
  readonly #events: PacketEvents;
  readonly #send: (text: string) => void;
  /** Undefined outside a packet. */
  #body: string | undefined;
  #trailer: string | undefined;

  constructor(events: PacketEvents, send: (text: string) => void) {
    this.#events = events;
    this.#send = send;
  }

  feed(bytes: Uint8Array): void {
    for (const byte of bytes) this.#byte(byte, String.fromCharCode(byte));
  }

  #byte(code: number, char: string): void {
    if (this.#trailer !== undefined) {
      this.#trailer += char;
      if (this.#trailer.length === 2) this.#finish(this.#body ?? '', this.#trailer);
    } else if (char === '$') {
      this.#body = '';
    } else if (this.#body === undefined) {
      if (code === 3) this.#events.interrupt();
    } else if (char === '#') {
      this.#trailer = '';
    } else if (this.#body.length < PACKET_MAX) {
      this.#body += char;
    }
  }

  #finish(body: string, trailer: string): void {
    this.#body = undefined;
    this.#trailer = undefined;
    const good = trailer.toLowerCase() === checksum(body);
    if (this.acknowledge) this.#send(good ? '+' : '-');
    if (good) this.#events.packet(body);
  }
}

/** `$data#cs`, with the four special characters escaped. */
export function frame(data: string): string {
  const escaped = data.replace(/[#$}*]/g, (c) => `}${String.fromCharCode(c.charCodeAt(0) ^ 0x20)}`);
  return `$${escaped}#${checksum(escaped)}`;
}

/** Undoes the escapes of binary data in a packet. */
export function unescape(data: string): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < data.length; i++) {
    if (data[i] === '}') bytes.push(data.charCodeAt(++i) ^ 0x20);
    else bytes.push(data.charCodeAt(i));
  }
  return Uint8Array.from(bytes);
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The bytes of pairs of hexadecimal digits; undefined when it is none. */
export function fromHex(text: string): Uint8Array | undefined {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
