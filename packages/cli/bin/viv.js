#!/usr/bin/env node
// The command `viv`. Runs on Node 20 and newer; the program itself on the Node that the package pins.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exitAs, NODE_ENV, NODE_FLAGS, ownMajor, PINNED_MAJOR, pinnedNode, runChild } from './runtime.js';
import { isVersion, printVersion } from './version.js';

const args = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));

if (isVersion(args)) {
  printVersion();
} else if (ownMajor() >= PINNED_MAJOR) {
  const { main } = await import('../dist/main.js');
  await main(args);
} else {
  const node = pinnedNode(here);
  if (node === undefined) {
    process.stderr.write(
      `viv: this Node (${process.version}) is too old, and npm installed none for ${process.platform}-${process.arch}\n` +
        '  what to do: install Node 26, or reinstall the package with optional dependencies\n' +
        '  code: ENGINE_UNAVAILABLE\n',
    );
    process.exit(125);
  }
  if (node === process.execPath) {
    const { main } = await import('../dist/main.js');
    await main(args);
  } else {
    exitAs(
      await runChild(node, [...NODE_FLAGS, fileURLToPath(import.meta.url), ...args], {
        ...NODE_ENV,
        ...process.env,
      }),
    );
  }
}
