/** The shapes that docs/adr/0032 compares, and the recordings it compares them on. */
import type { Shape } from './former.ts';
import type { Recording } from './record.ts';

const BASE: Omit<Shape, 'name'> = {
  threshold: 50,
  maxBlocks: 50,
  maxInstructions: 1500,
  calls: 'none',
  depth: 3,
  resets: true,
  again: 0,
  againBlocks: 100,
};

export const SHAPES: readonly Shape[] = [
  { ...BASE, name: 'single blocks', maxBlocks: 1 },
  { ...BASE, name: 'no callees, heat kept', resets: false },
  { ...BASE, name: 'no callees' },
  { ...BASE, name: 'callees inlined', calls: 'inline' },
  { ...BASE, name: 'callees inlined, 100 blocks', calls: 'inline', maxBlocks: 100 },
  { ...BASE, name: 'callees shared', calls: 'shared' },
  { ...BASE, name: 'two levels', again: 1000 },
  { ...BASE, name: 'two levels from 20', again: 1000, threshold: 20 },
  { ...BASE, name: 'two levels from 200', again: 1000, threshold: 200 },
  { ...BASE, name: 'two levels from 1000', again: 1000, threshold: 1000 },
];

export const RECORDINGS: readonly Recording[] = [
  { name: 'boot', command: '' },
  { name: '60 forks', command: 'i=0; while [ $i -lt 60 ]; do /bin/busybox true; i=$((i+1)); done' },
  { name: 'gzip', command: 'gzip -c /bin/busybox' },
  { name: 'shell loop', command: 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done' },
];
