import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runQuietly, say } from './command.mjs';
import { hashOf, readStamp, writeStamp } from './stamp.mjs';

const sources = ['src', 'worker.ts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'setup'];
const stampName = '.longhaul-stamp.json';

/** Whether `dist` was built from the sources as they are now. */
export function isCompiled(root) {
  return readStamp(join(root, 'dist', stampName))?.sources === hashOf(root, sources);
}

/** Compiles the sources and bundles the workflows into `dist`. It is built aside, so `dist` is never half of one version. */
export async function compile(root, { keepOpen }) {
  say('Building dist');
  removeHalfBuilt(root);
  const stamp = { sources: hashOf(root, sources) };
  const built = join(root, '.setup', `dist-${randomBytes(4).toString('hex')}`);
  try {
    const run = (purpose, script, ...args) =>
      runQuietly([process.execPath, join(root, script), ...args], { purpose, cwd: root, keepOpen });
    await run('Compiling', 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', built);
    await run('Bundling the workflows', 'setup/workflow-bundle.mjs', join(built, 'workflow-bundle.js'));
    writeStamp(join(built, stampName), stamp);
    replaceFolder(join(root, 'dist'), built);
  } finally {
    rmSync(built, { recursive: true, force: true });
  }
}

/** What set-ups left that were killed. Ours is the only one now. */
function removeHalfBuilt(root) {
  const left = readdirSync(join(root, '.setup')).filter((name) => name.startsWith('dist-'));
  for (const name of left) rmSync(join(root, '.setup', name), { recursive: true, force: true });
}

function replaceFolder(folder, replacement) {
  const former = `${replacement}-former`;
  if (existsSync(folder)) renameSync(folder, former);
  renameSync(replacement, folder);
  rmSync(former, { recursive: true, force: true });
}
