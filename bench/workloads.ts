/** What guests are measured with: commands of the busybox image that only compute. */
export interface Workload {
  readonly name: string;
  /** A line for the guest's shell. Its output is dropped. */
  readonly command: string;
}

export const WORKLOADS: readonly Workload[] = [
  { name: 'sha256sum of 8 MiB', command: 'dd if=/dev/zero bs=65536 count=128 2>/dev/null | sha256sum' },
  { name: 'gzip of busybox', command: 'gzip -c /bin/busybox' },
  { name: 'shell loop', command: 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done' },
  { name: 'awk sums', command: "awk 'BEGIN { for (i = 0; i < 300000; i++) s += i * i; print s }'" },
];

/** The kernel prints this when it starts the first program of user space. */
export const INIT_MARK: RegExp = /Run \/init as init process/;
