import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TranslationStats } from '../../machine/vcpu.ts';
import { handMade, regionMachine } from './region.fixture.ts';
import { REGION_STATUS } from './region.ts';
import { translationReport } from './report.ts';

function statsOf(code: readonly number[], runs: number): TranslationStats {
  const m = regionMachine({ tier: 'always' }, (source, [request]) => {
    assert.ok(request !== undefined);
    const { rip, host, mode } = request;
    if (host !== m.ram + 0x1000) return null;
    const ranges = [{ host, bytes: source.u8.slice(host, host + 1) }];
    return handMade([{ rip, host, mode, ranges, add: 1, skip: 0, status: REGION_STATUS.INTERPRET }]);
  });
  m.load(0x1000, code);
  for (let i = 0; i < runs; i++) m.run(0x1000n);
  const stats = m.vcpu.translationStats();
  assert.ok(stats !== undefined);
  return stats;
}

test('instructions left to the interpreter are counted by their form, past micro-operations', () => {
  // lock inc dword [fs:0x2000], an address with a segment base behind a fence; then UD2
  const stats = statsOf([0x64, 0xf0, 0xff, 0x04, 0x25, 0, 0x20, 0, 0, 0x0f, 0x0b], 7);
  const lines = translationReport(stats, 1000n);
  const row = lines.find((line) => line.includes('INC Ev'));
  assert.match(row ?? '', /^ +7 +100\.0 % {2}INC Ev:rw {2}32-bit, memory$/);
});

test('entries and exits', () => {
  const stats = statsOf([0x90, 0x0f, 0x0b], 5);
  assert.deepEqual([stats.entered, stats.interprets], [5, 5]);
  const text = translationReport(stats, 10n).join('\n');
  assert.match(text, /^entered +5 times/m);
  assert.match(text, /^exits +0\.0 % to look the next address up, 100\.0 % for an instruction/m);
});
