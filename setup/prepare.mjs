import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compile, isCompiled } from './compiled.mjs';
import { requireDiskSpace } from './disk-space.mjs';
import { areNodeModulesCurrent, installNodeModules } from './node-modules.mjs';
import { isPythonCurrent, installPython } from './python-environment.mjs';
import { withSetupLock } from './setup-lock.mjs';

const firstSetUpBytes = 2_000_000_000;

/**
 * Brings `node_modules`, `.venv` and `dist` up to date. Does and prints nothing when they are. Safe to be killed at any point, and
 * to be run twice at once: the second waits, then finds everything done.
 * @param options.env the environment; PYTHON in it names the interpreter to use
 * @param options.development also what only the tests and checks need
 * @throws SetupError
 */
export async function prepare(root, { env, development = false }) {
  const python = { env, development };
  if (areNodeModulesCurrent(root) && isPythonCurrent(root, python) && isCompiled(root)) return;

  await inSetUp(root, async (keepOpen) => {
    const nodeModules = areNodeModulesCurrent(root);
    const environment = isPythonCurrent(root, python);
    if (!nodeModules && !environment) requireDiskSpace(root, firstSetUpBytes);
    if (!nodeModules) await installNodeModules(root, { env, keepOpen });
    if (!environment) await installPython(root, { ...python, keepOpen });
    if (!isCompiled(root)) await compile(root, { keepOpen });
  });
}

/** Builds `dist` whether or not it is up to date. */
export async function rebuild(root) {
  await inSetUp(root, (keepOpen) => compile(root, { keepOpen }));
}

async function inSetUp(root, work) {
  mkdirSync(join(root, '.setup'), { recursive: true });
  await withSetupLock(root, work);
}
