/** virtio console device with several ports (virtio 1.2, 5.3). */
export const CONSOLE_DEVICE_ID: number = 3;

/** Feature bits: SIZE (0), MULTIPORT (1). */
export const F_SIZE: number = 0x1;
export const F_MULTIPORT: number = 0x2;

/** Configuration: columns and rows (u16), largest number of ports (u32), emergency write (u32). */
export const Config = { COLUMNS: 0, ROWS: 2, MAX_PORTS: 4, BYTES: 12 } as const;
export const MAX_PORTS: number = 31;
export const QUEUE_SIZE: number = 64;

/** Queues: port 0 has 0 and 1, control 2 and 3, port n from 2n + 2 on; the receive queue comes first. */
export const CONTROL_RECEIVE: number = 2;
export const CONTROL_TRANSMIT: number = 3;

/** Control messages: {u32 port, u16 event, u16 value}, a name follows PORT_NAME. */
export const CONTROL_BYTES: number = 8;
export const Control = {
  DEVICE_READY: 0,
  DEVICE_ADD: 1,
  DEVICE_REMOVE: 2,
  PORT_READY: 3,
  CONSOLE_PORT: 4,
  RESIZE: 5,
  PORT_OPEN: 6,
  PORT_NAME: 7,
} as const;

/** Control messages that a port owes the guest, sent lowest bit first. */
export const Owed = { ADD: 1, IDENTITY: 2, OPEN: 4 } as const;

export function receiveQueue(port: number): number {
  return port === 0 ? 0 : 2 * port + 2;
}

export function transmitQueue(port: number): number {
  return receiveQueue(port) + 1;
}

/** The port of a queue, or -1 for the control queues. */
export function portOfQueue(queue: number): number {
  if (queue < 2) return 0;
  return queue < 4 ? -1 : (queue - 2) >> 1;
}
