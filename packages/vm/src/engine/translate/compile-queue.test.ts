import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileJob, type CompileJob } from './compile-job.ts';
import { CompileQueue } from './compile-queue.ts';
import type { GuestCode, Paging } from './guest-code.ts';
import { handMade, regionMachine } from './region.fixture.ts';
import * as S from '../../x86/state.ts';

const PAGING: Paging = { cr0: 0n, cr3: 0x1000n, cr4: 0n, cpl: 0 };
const request = (n: number): { rip: bigint; host: number; mode: number } => ({
  rip: BigInt(n),
  host: n,
  mode: 2,
});

function queue(): {
  queue: CompileQueue;
  jobs: CompileJob[];
  heats: Map<number, number>;
  finish: () => void;
} {
  const jobs: CompileJob[] = [];
  const heats = new Map<number, number>();
  const results: object[] = [];
  let sent = 0;
  return {
    queue: new CompileQueue({
      thread: { post: (job) => void jobs.push(job as CompileJob), take: () => results.shift() },
      sent: () => sent,
      heat: ({ host }) => heats.get(host) ?? 0,
    }),
    heats,
    jobs,
    finish: () => {
      results.push({});
      sent++;
    },
  };
}

const hosts = (jobs: readonly CompileJob[]): number[][] => jobs.map((job) => job.requests.map((r) => r.host));

test('batches share their page tables, fill up while the thread has work, and only a few are under way', () => {
  const { queue: q, jobs, finish } = queue();
  const add = (from: number, to: number): void => {
    for (let n = from; n <= to; n++) q.add(request(n), PAGING);
    assert.deepEqual([...q.take()], []);
  };
  add(0, 1);
  add(2, 3);
  add(4, 5);
  add(6, 20);
  add(21, 25);
  assert.deepEqual(hosts(jobs), [
    [0, 1],
    [2, 3, 4, 5],
    [6, 7, 8, 9, 10, 11, 12, 13],
  ]);
  q.add(request(26), { ...PAGING, cr3: 0x2000n });
  q.add(request(27), { ...PAGING, cr3: 0x2000n, cpl: 3 });
  for (let n = 0; n < 6; n++) {
    finish();
    assert.equal([...q.take()].length, 1);
  }
  assert.deepEqual(hosts(jobs.slice(3)), [[14, 15, 16, 17, 18, 19, 20, 21], [22, 23, 24, 25], [26], [27]]);
  assert.deepEqual(
    jobs.slice(4).map((job) => [job.paging.cr3, job.paging.cpl]),
    [
      [0x1000n, 0],
      [0x2000n, 0],
      [0x2000n, 3],
    ],
  );
});

test('the hottest go first, those that are gone never, and kernel code of two processes together', () => {
  const { queue: q, jobs, heats } = queue();
  for (let n = 10; n < 14; n++) q.add({ ...request(n), rip: -5n }, { ...PAGING, cr3: BigInt(n) });
  heats.set(10, 5).set(11, -1).set(12, 100).set(13, 7);
  assert.equal([...q.take()].length, 0);
  assert.deepEqual(hosts(jobs), [[12, 13, 10]]);
});

test('a queue that overflows gives its coldest requests back', () => {
  const { queue: q, heats } = queue();
  for (let n = 0; n < 530; n++) heats.set(n, n < 20 ? n : 2000 - n);
  const dropped = [];
  for (let n = 0; n < 522; n++) dropped.push(...q.add(request(n), PAGING).map((r) => r.host));
  assert.equal(dropped.length, 129);
  assert.deepEqual(dropped.slice(-4), [3, 2, 1, 0]);
  assert.equal(q.forgotten, 129);
});

test('a translator that fails changes nothing, and its error is told', () => {
  const source = { setPaging: () => {} } as unknown as GuestCode;
  const fail = (): never => {
    throw new Error('no such row');
  };
  const failed = compileJob(
    { paging: PAGING, requests: [request(1)] },
    source,
    fail,
    { tier: 'auto' },
    () => 0,
  );
  assert.equal(failed.module, null);
  assert.match(failed.error ?? '', /no such row/);
});

test('a vCPU runs on while its compile thread works, and takes what it has finished at a boundary', () => {
  const jobs: CompileJob[] = [];
  const results: object[] = [];
  const m = regionMachine(
    { tier: 'auto', threshold: 3 },
    () => assert.fail('translated on the thread of the vCPU'),
    {
      post: (job) => void jobs.push(job as CompileJob),
      take: () => results.shift(),
    },
  );
  m.load(0x1000, [0x48, 0xff, 0xc0, 0xeb, 0xfb]); // inc rax; jmp -5
  assert.equal(m.run(0x1000n, 20), 'boundary');
  assert.equal(m.register(0), 10n);
  const [job] = jobs;
  assert.deepEqual(
    job?.requests.map((r) => r.rip),
    [0x1000n],
  );
  const host = m.ram + 0x1000;
  const translate = (): ReturnType<typeof handMade> =>
    handMade([
      {
        rip: 0x1000n,
        host,
        mode: job?.requests[0]?.mode ?? 0,
        ranges: [{ host, bytes: m.u8.slice(host, host + 5) }],
        add: 1,
        skip: 0,
      },
    ]);
  const source = { setPaging: () => {} } as unknown as GuestCode;
  results.push(compileJob(job as CompileJob, source, translate, { tier: 'auto' }, () => 0));
  m.run(0x1000n, 20);
  assert.equal(m.register(1), 0n, 'nobody said that there is a result');
  m.view.setInt32(m.vcpu.area + S.COMPILED, 1, true);
  m.run(0x1000n, 2);
  m.run(0x1000n, 20);
  assert.equal(m.register(1), 20n);
  const stats = m.vcpu.translationStats();
  assert.equal(stats?.regions, 1);
  assert.ok(stats.wasmBytes > 0);
});

test('a machine that has just started translates only what is very hot; later, what was executed until then counts', () => {
  const jobs: CompileJob[] = [];
  const m = regionMachine({ tier: 'auto' }, () => assert.fail('translated on the thread of the vCPU'), {
    post: (job) => void jobs.push(job as CompileJob),
    take: () => undefined,
  });
  m.load(0x1000, [0x48, 0xff, 0xc0, 0xeb, 0xfb]); // inc rax; jmp -5
  for (let boundary = 1; boundary < 2500; boundary++) m.run(0x1000n, 20);
  assert.ok(m.register(0) > 20_000n, 'more than it takes later');
  assert.equal(jobs.length, 0);
  for (let boundary = 0; boundary < 3; boundary++) m.run(0x1000n, 20);
  assert.deepEqual(
    jobs.map((job) => job.requests.map((r) => r.rip)),
    [[0x1000n]],
  );
});
