/**
 * Sets the clone up and runs a TypeScript file of it on the pinned Node:
 * `node tools/run.mjs [--no-build] FILE [ARGUMENTS…]`.
 */
import { join } from 'node:path';
import { exitAs, runChild } from '../packages/cli/bin/runtime.js';
import { root, setUpOrExit } from './setup.mjs';

const args = process.argv.slice(2);
const build = args[0] !== '--no-build';
if (!build) args.shift();
const [file, ...rest] = args;
const node = setUpOrExit({ build });
exitAs(await runChild(node, ['--conditions=vivarium-source', join(root, file), ...rest]));
