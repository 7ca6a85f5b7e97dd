/** Saved state of an entropy device: none of its own. */
export interface RngState {
  readonly kind: 'virtio-rng';
  readonly version: 1;
}
