import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { elfModule } from '../../../../test/support/elf.ts';
import { moduleDependencies, moduleName, orderModules, withoutSignature } from './modules.ts';

const set = (modules: Readonly<Record<string, string>>): Map<string, Uint8Array> =>
  new Map(Object.entries(modules).map(([name, depends]) => [name, elfModule({ license: 'GPL', depends })]));
const must = (...names: string[]): { name: string; optional: boolean }[] =>
  names.map((name) => ({ name, optional: false }));

describe('modules', () => {
  it('have one name however the file is called', () => {
    assert.equal(moduleName('kernel/drivers/char/hw_random/virtio-rng.ko.xz'), 'virtio_rng');
    assert.equal(moduleName('virtio_blk.ko'), 'virtio_blk');
  });

  it('say what they need', () => {
    assert.deepEqual(moduleDependencies(elfModule({ depends: 'virtio,virtio-ring' }), 'x'), [
      'virtio',
      'virtio_ring',
    ]);
    assert.deepEqual(moduleDependencies(elfModule({ depends: '' }), 'x'), []);
    assert.deepEqual(moduleDependencies(elfModule({ description: 'a' }), 'x'), []);
    assert.throws(() => moduleDependencies(new Uint8Array(100), 'x'), { code: 'ARCHIVE_CORRUPT' });
    assert.throws(() => moduleDependencies(elfModule({ depends: 'a' }).subarray(0, 150), 'x'), {
      code: 'ARCHIVE_CORRUPT',
    });
  });

  it('lose their signature', () => {
    const plain = elfModule({ depends: 'a' });
    const info = Buffer.alloc(12);
    info.writeUInt32BE(300, 8);
    const mark = Buffer.from('~Module signature appended~\n');
    const signed = Buffer.concat([plain, Buffer.alloc(300, 7), info, mark]);
    assert.ok(plain.equals(withoutSignature(signed)));
    assert.equal(withoutSignature(plain), plain);
    info.writeUInt32BE(1 << 30, 8);
    const absurd = Buffer.concat([plain, info, mark]);
    assert.equal(withoutSignature(absurd), absurd);
  });

  it('load after what they need, each once, without what the kernel has', () => {
    const modules = set({ d: 'b,c', c: 'a', b: 'a,inside', a: '' });
    assert.deepEqual(orderModules(must('d', 'c'), modules, new Set(['inside'])), {
      names: ['a', 'b', 'c', 'd'],
      missing: [],
    });
  });

  it('are missing only when they are needed', () => {
    const wishes = [...must('a', 'gone'), { name: 'extra', optional: true }];
    assert.deepEqual(orderModules(wishes, set({ a: 'below' }), new Set()), {
      names: ['a'],
      missing: ['below', 'gone'],
    });
  });

  it('may need one another in a circle', () => {
    assert.deepEqual(orderModules(must('a'), set({ a: 'b', b: 'a' }), new Set()).names, ['b', 'a']);
  });
});
