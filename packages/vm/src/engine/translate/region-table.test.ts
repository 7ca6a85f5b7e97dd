import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as S from '../../x86/state.ts';
import { REGION_STATUS, type TranslationRequest } from './region.ts';
import { type HandMade, handMade, type RegionMachine, regionMachine } from './region.fixture.ts';

const UD2 = [0x0f, 0x0b];
const INC_RAX = [0x48, 0xff, 0xc0];

/** A translator that gives every request the region `make` says, and lists the requests. */
function machine(
  make: (host: number, m: RegionMachine, level: 1 | 2) => Partial<HandMade> | null,
  options = {},
): RegionMachine & { readonly requests: TranslationRequest[] } {
  const requests: TranslationRequest[] = [];
  const m: RegionMachine = regionMachine({ tier: 'sync', threshold: 3, ...options }, (source, [request]) => {
    assert.ok(request !== undefined);
    requests.push(request);
    assert.equal(source.fetch(request.rip), request.host);
    const region = make(request.host, m, request.level ?? 1);
    if (region === null) return null;
    const { rip, host, mode } = request;
    const ranges = [{ host, bytes: m.u8.slice(host, host + 3) }];
    return handMade([{ rip, host, mode, ranges, add: 1, skip: 3, ...region }]);
  });
  return { ...m, requests };
}

test('a block that got hot is translated once and then runs as a region', () => {
  const m = machine((host, { ram }) => (host === ram + 0x1000 ? {} : null));
  m.load(0x1000, [...INC_RAX, ...UD2]);
  for (let i = 0; i < 10; i++) assert.equal(m.run(0x1000n), 'fault');
  // two executions by the interpreter, the third asks; UD2 at 0x1003 gets hot as well
  assert.equal(m.register(0), 2n);
  assert.equal(m.register(1), 8n);
  assert.deepEqual(
    m.requests.map((r) => r.rip),
    [0x1000n, 0x1003n],
  );
  assert.equal(m.vcpu.rip, 0x1003n);
  const stats = m.vcpu.translationStats();
  assert.equal(stats?.entered, 8);
  assert.equal(stats.instructions, 8);
  assert.equal(stats.interprets, 0);
  assert.equal(stats.declined, 1);
});

test('a region that leaves its first instruction to the interpreter is not entered again for it', () => {
  const m = machine(() => ({ add: 1, skip: 0, status: REGION_STATUS.INTERPRET }), { tier: 'always' });
  m.load(0x1000, [...INC_RAX, ...UD2]);
  for (let i = 1; i <= 3; i++) {
    assert.equal(m.run(0x1000n), 'fault');
    assert.equal(m.register(0), BigInt(i));
    assert.equal(m.register(1), BigInt(i));
  }
  assert.equal(m.vcpu.translationStats()?.interprets, 3);
});

test('a region that is entered often is made again, larger, and takes the place of the first', () => {
  const m = machine(
    (host, { ram }, level) =>
      host === ram + 0x1000 ? (level === 2 ? { add: 100, instructions: 5, level } : { add: 1 }) : null,
    { threshold: 1 },
  );
  m.load(0x1000, [...INC_RAX, ...UD2]);
  for (let i = 0; i < S.REGION_HOT; i++) m.run(0x1000n);
  assert.equal(m.register(1), BigInt(S.REGION_HOT - 1 + 100));
  assert.deepEqual(
    m.requests.filter((r) => r.rip === 0x1000n).map((r) => r.level),
    [undefined, 2],
  );
  for (let i = 0; i < S.REGION_HOT; i++) m.run(0x1000n);
  assert.equal(m.requests.filter((r) => r.rip === 0x1000n).length, 2, 'once');
  assert.deepEqual([m.vcpu.regions.counters().regions, m.vcpu.regions.counters().modules], [1, 1]);
});

test('a block inside a region becomes hot anew', () => {
  const m = machine((host, { ram }) =>
    host === ram + 0x1000 ? { members: [host, host + 3], skip: 0, status: REGION_STATUS.INTERPRET } : null,
  );
  m.load(0x1000, [...INC_RAX, ...UD2]);
  for (let i = 0; i < 2; i++) m.run(0x1003n);
  for (let i = 0; i < 3; i++) m.run(0x1000n);
  assert.deepEqual(
    m.requests.map((r) => r.rip),
    [0x1000n],
  );
  for (let i = 0; i < 2; i++) m.run(0x1003n);
  assert.equal(m.requests.length, 1);
  m.run(0x1003n);
  assert.equal(m.requests.length, 2);
});

test('a region survives a flush of decoded code, and goes when its bytes change', () => {
  const m = machine((host, { ram }) => (host === ram + 0x1000 ? {} : null), { tier: 'always' });
  m.load(0x1000, [...INC_RAX, ...UD2]);
  m.run(0x1000n);
  m.vcpu.code.flushBlocks();
  m.run(0x1000n);
  assert.equal(m.register(1), 2n);
  assert.equal(m.requests.filter((r) => r.rip === 0x1000n).length, 1);
  // elsewhere in the page: nothing happens to it
  m.load(0x1800, [1]);
  m.vcpu.written(m.ram + 0x1800, 1);
  assert.equal(m.vcpu.regions.counters().regions, 1);
  m.load(0x1000, [0x48, 0xff, 0xc3]); // inc rbx
  m.vcpu.written(m.ram + 0x1002, 1);
  assert.equal(m.vcpu.regions.counters().regions, 0);
  m.run(0x1000n);
  assert.equal(m.requests.filter((r) => r.rip === 0x1000n).length, 2);
});

test('the guest overwrites a region whose page its TLB let it write before', () => {
  const m = machine((host, { ram }) => (host === ram + 0x1000 ? {} : null), { tier: 'always' });
  m.load(0x1000, [...INC_RAX, ...UD2]);
  // mov byte [0x1002], 0xc3; jmp 0x1000: makes it inc rbx. The page was written before, so the TLB permits writes.
  m.load(0x3000, [0xc6, 0x04, 0x25, 0x02, 0x10, 0, 0, 0xc0, ...UD2]);
  m.load(0x4000, [0xc6, 0x04, 0x25, 0x02, 0x10, 0, 0, 0xc3, 0xe9, ...le32(0x1000 - 0x400d)]);
  m.run(0x3000n);
  m.run(0x1000n);
  assert.equal(m.register(1), 1n);
  m.run(0x4000n);
  assert.equal(m.requests.filter((r) => r.rip === 0x1000n).length, 2);
  assert.equal(m.vcpu.regions.counters().overwritten, 1);
  m.vcpu.regions.clear();
  m.vcpu.code.flush();
  assert.equal(
    m.u8[flagOf(m, 0x1000)],
    (m.u8[flagOf(m, 0x1000)] as number) & ~4,
    'no code in the page any more',
  );
});

test('code that changed while it was translated is not installed', () => {
  const m = machine((host) => ({ ranges: [{ host, bytes: new Uint8Array([1, 2, 3]) }] }), { tier: 'always' });
  m.load(0x1000, [...INC_RAX, ...UD2]);
  m.run(0x1000n);
  assert.equal(m.register(0), 1n);
  assert.equal(m.vcpu.regions.counters().refused, 1);
  assert.equal(m.vcpu.regions.counters().regions, 0);
});

test('a region is entered only while its other pages are mapped as they were', () => {
  const m = machine(
    (host, { ram }) =>
      host === ram + 0x1000
        ? {
            pages: [
              { delta: 1, host: ram + 0x2000 },
              { delta: -1, host: ram },
            ],
          }
        : host === ram + 0x5000
          ? { pages: [{ delta: 1, host: ram + 0x2000 }] }
          : null,
    { tier: 'always' },
  );
  m.load(0x1000, [...INC_RAX, ...UD2]);
  m.load(0x5000, [...INC_RAX, ...UD2]);
  m.run(0x1000n);
  assert.equal(m.register(1), 1n);
  for (let i = 0; i < 200; i++) m.run(0x5000n);
  assert.equal(m.register(0), 200n);
  assert.equal(m.register(1), 1n);
  // tried when it was installed, after 64 executions and after 128 more
  assert.equal(m.vcpu.translationStats()?.mismatches, 3);
});

test('modules that did not run lately are evicted under the memory budget', () => {
  const m = machine((host) => ((host & 0xff) === 0 ? { codeBytes: 10_000 } : null), {
    tier: 'always',
    cacheBytes: 400_000,
  });
  for (let n = 1; n <= 20; n++) m.load(n * 0x100 + 0x1000, [...INC_RAX, ...UD2]);
  for (let n = 1; n <= 20; n++) {
    m.run(BigInt(n * 0x100 + 0x1000), 1000);
    assert.ok(m.vcpu.regions.counters().bytes <= 400_000);
    // the first stays in use
    m.run(0x1100n, 1000);
  }
  const { evicted, regions, modules } = m.vcpu.regions.counters();
  assert.ok(evicted >= 14, `${evicted} evicted`);
  assert.equal(regions, modules);
  const before = m.requests.length;
  m.run(0x1100n, 1000);
  assert.equal(m.requests.length, before, 'what runs all the time stayed');
});

test('a module counts as a whole until its last region is gone, and then another takes its place', () => {
  const m = machine((host) => ((host & 0xff) === 0 ? { codeBytes: 10_000 } : null), {
    tier: 'always',
    cacheBytes: 400_000,
  });
  const { regions } = m.vcpu;
  const at = (n: number): number => n * 0x100 + 0x1000;
  for (let n = 1; n <= 40; n++) m.load(at(n), [...INC_RAX, ...UD2]);
  const run = (from: number, to: number): void => {
    for (let n = from; n <= to; n++) m.run(BigInt(at(n)), 1000);
  };
  run(1, 1);
  const each = regions.counters().bytes;
  run(2, 6);
  for (const n of [2, 6, 1]) m.vcpu.written(m.ram + at(n), 1);
  assert.deepEqual([regions.counters().modules, regions.counters().bytes], [3, 3 * each]);
  run(7, 40);
  const { modules, bytes, mostBytes } = regions.counters();
  assert.equal(modules, Math.floor(400_000 / each));
  assert.equal(bytes, modules * each);
  assert.equal(mostBytes, bytes);
  regions.clear();
  assert.deepEqual([regions.counters().modules, regions.counters().bytes], [0, 0]);
  assert.equal(regions.counters().mostBytes, mostBytes);
});

test('a module whose regions are not all wanted costs what all of them cost', () => {
  const m = machine(() => ({}), { tier: 'always' });
  m.load(0x1000, [...INC_RAX, ...UD2]);
  const [host, mode] = [m.ram + 0x1000, 0];
  const region = { rip: 0x1000n, host, mode, add: 1, skip: 3, codeBytes: 1000 };
  const good = { ...region, ranges: [{ host, bytes: m.u8.slice(host, host + 3) }] };
  const changed = { ...region, host: host + 8, ranges: [{ host: host + 8, bytes: new Uint8Array([1, 2]) }] };
  assert.equal(m.vcpu.regions.install(handMade([good])), 1);
  const { bytes } = m.vcpu.regions.counters();
  m.vcpu.regions.clear();
  assert.equal(m.vcpu.regions.install(handMade([good, changed])), 1);
  assert.equal(m.vcpu.regions.counters().bytes, 2 * bytes);
});

function le32(n: number): number[] {
  return [n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >> 24) & 255];
}
function flagOf(m: RegionMachine, gpa: number): number {
  return m.view.getUint32(m.vcpu.area + S.PAGE_FLAGS, true) + (gpa >> 12);
}
