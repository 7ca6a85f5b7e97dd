/** virtio entropy device (virtio 1.2, 5.4). */
export const RNG_DEVICE_ID: number = 4;
/** Most bytes of one request that are filled: a driver asks again for more. */
export const MAX_REQUEST_BYTES: number = 0x10000;
