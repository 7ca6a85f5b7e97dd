/** Saved state of a block device: none of its own (no request is in flight when it is saved). */
export interface BlkState {
  readonly kind: 'virtio-blk';
  readonly version: 1;
  readonly capacityBytes: number;
}
