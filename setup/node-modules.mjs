import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runQuietly, say } from './command.mjs';
import { hashOf, readStamp, writeStamp } from './stamp.mjs';

/** Whether `node_modules` is what package-lock.json says, for this platform. */
export function areNodeModulesCurrent(root) {
  const stamp = readStamp(stampFile(root));
  return stamp !== undefined && stamp.wanted === wanted(root);
}

/** Installs the versions of package-lock.json, which stays as it is. */
export async function installNodeModules(root, { env, keepOpen }) {
  say('Installing Node packages');
  rmSync(stampFile(root), { force: true });
  // Not `npm ci`: it refuses a lock file when a registry lacks the binaries of other platforms.
  // --no-save leaves package-lock.json alone; no dependency of ours needs its install script.
  const flags = ['--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--include=dev'];
  const argv = [...npm(env), 'install', ...flags];
  await runQuietly(argv, { purpose: 'Installing Node packages', cwd: root, env, keepOpen });
  writeStamp(stampFile(root), { wanted: wanted(root) });
}

function stampFile(root) {
  return join(root, 'node_modules', '.longhaul-stamp.json');
}

function wanted(root) {
  return `${hashOf(root, ['package.json', 'package-lock.json'])} ${process.platform} ${process.arch}`;
}

/** The npm that called us, else the one on PATH. */
function npm(env) {
  const own = env.npm_execpath;
  return own && /npm-cli\.c?js$/.test(own) && existsSync(own) ? [process.execPath, own] : ['npm'];
}
