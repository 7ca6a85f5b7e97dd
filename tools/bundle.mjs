/**
 * Puts the library and its threads, 60 to 160 modules each, into a few files: loading modules one by one takes longer than
 * compiling them (docs/adr/0048-bundles.md). All lie in the folder of the modules that ask for `import.meta.url`.
 * Argument: the built `dist` of packages/vm.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const PLACE = 'host/node';
const dist = process.argv[2] ?? 'packages/vm/dist';

await build({
  entryPoints: {
    [`${PLACE}/library`]: join(dist, 'node.js'),
    [`${PLACE}/vcpu-worker`]: join(dist, PLACE, 'vcpu-worker.js'),
    [`${PLACE}/compile-worker`]: join(dist, PLACE, 'compile-worker.js'),
  },
  outdir: dist,
  chunkNames: `${PLACE}/chunk-[hash]`,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  packages: 'external',
  allowOverwrite: true,
  logLevel: 'warning',
});
writeFileSync(join(dist, 'node.js'), `export * from './${PLACE}/library.js';\n`);
