import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressLine } from './progress.ts';

class Screen {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 60;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
  }
}

function download(screen: Screen, label: string, steps: number, total: number | undefined): void {
  const progress = new ProgressLine(screen);
  for (let i = 0; i <= steps; i++)
    progress.update({
      phase: 'download',
      what: label,
      doneBytes: (i * 2 ** 20 * 10) / steps,
      totalBytes: total,
    });
  progress.finish();
}

test('a log gets a few lines, however often the work reports', () => {
  const screen = new Screen(false);
  download(screen, 'kernel.deb', 1000, 10 * 2 ** 20);
  assert.equal(screen.text.split('\n').length - 1, 5);
  assert.match(screen.text, /kernel\.deb 10\.0 of 10\.0 MiB\n$/);
});

test('a terminal gets one line, never wider than it is', () => {
  const screen = new Screen(true);
  download(screen, 'x'.repeat(100), 10, 10 * 2 ** 20);
  assert.equal(screen.text.split('\n').length - 1, 1);
  for (const line of screen.text.split('\r\x1b[K')) assert.ok(line.trimEnd().length < 60);
});

test('an unknown total is no error', () => {
  const screen = new Screen(false);
  download(screen, 'index', 10, undefined);
  assert.equal(screen.text, 'viv: downloading index\n');
});
