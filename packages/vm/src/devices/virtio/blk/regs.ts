/** virtio block device (virtio 1.2, 5.2). */
export const BLK_DEVICE_ID: number = 2;
export const SECTOR_BYTES: number = 512;

/** Feature bits: SEG_MAX (2), RO (5), BLK_SIZE (6), FLUSH (9). */
export const F_SEG_MAX: number = 0x4;
export const F_RO: number = 0x20;
export const F_BLK_SIZE: number = 0x40;
export const F_FLUSH: number = 0x200;

export const RequestType = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8 } as const;
export const RequestStatus = { OK: 0, IO_ERROR: 1, UNSUPPORTED: 2 } as const;
/** Request header: {u32 type, u32 reserved, u64 sector}. */
export const HEADER_BYTES: number = 16;
export const ID_BYTES: number = 20;

/** Configuration: capacity in sectors (u64) at 0, seg_max (u32) at 12, blk_size (u32) at 20. */
export const Config = { CAPACITY: 0, SEG_MAX: 12, BLK_SIZE: 20, BYTES: 24 } as const;
export const QUEUE_SIZE: number = 256;
/** Data segments of one request: two descriptors are the header's and the status's. */
export const SEG_MAX: number = 126;
