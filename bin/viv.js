#!/usr/bin/env node
// `viv` in a clone: sets the clone up when something changed, then runs the published launcher.
// `version` needs none of that, so that it answers at once and on a machine that is not set up.
import { isVersion } from '../packages/cli/bin/version.js';

if (!isVersion(process.argv.slice(2))) {
  const { setUpOrExit } = await import('../tools/setup.mjs');
  setUpOrExit();
}
await import('../packages/cli/bin/viv.js');
