import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runQuietly, say } from './command.mjs';
import { ask, findPython } from './python-interpreter.mjs';
import { hashOf, readStamp, writeStamp } from './stamp.mjs';

// `.venv` is a link to a folder below `.setup`. A new set of packages gets a new folder, and the link is turned round when that is
// complete: playbooks that are running keep the files they started with.
const requirements = 'python/requirements.txt';
const developmentRequirements = 'python/requirements-dev.txt';

/** Whether `.venv` has the pinned packages, runs, and is of the interpreter that PYTHON asks for. */
export function isPythonCurrent(root, { env, development }) {
  const stamp = readStamp(stampFile(root));
  if (!isBuilt(root, stamp, env)) return false;
  return !development || stamp.development === hashOf(root, [developmentRequirements]);
}

/** Makes `.venv` with the pinned, hashed packages, or adds those for development to one that is complete otherwise. */
export async function installPython(root, { env, development, keepOpen }) {
  const run = (purpose, ...argv) => runQuietly(argv, { purpose, cwd: root, env: { ...env, PIP_USER: '0' }, keepOpen });
  if (!isBuilt(root, readStamp(stampFile(root)), env)) await makeEnvironment(root, env, run);
  if (!development) return;

  say('Installing Python packages for development');
  // Most of what comes along is never imported, and compiling it takes longer than installing it.
  const install = [...pip(join(root, '.venv')), developmentRequirements, '--no-compile'];
  await run('Installing Python packages for development', ...install);
  const stamp = readStamp(stampFile(root));
  writeStamp(stampFile(root), { ...stamp, development: hashOf(root, [developmentRequirements]) });
}

async function makeEnvironment(root, env, run) {
  const python = findPython(env);
  say(`Installing ansible-core and Temporal for Python ${python.version}`);
  const folder = join(root, '.setup', `python-${randomBytes(4).toString('hex')}`);
  await run('Making .venv', python.executable, '-I', '-m', 'venv', folder);
  await run('Installing Python packages', ...pip(folder), requirements);
  writeStamp(join(folder, stampName), {
    requirements: hashOf(root, [requirements]),
    requested: env.PYTHON ?? '',
    version: python.version,
  });
  pointTo(root, folder);
  removeUnused(root, folder);
}

const stampName = '.longhaul-stamp.json';

function stampFile(root) {
  return join(root, '.venv', stampName);
}

function isBuilt(root, stamp, env) {
  if (stamp === undefined || stamp.requirements !== hashOf(root, [requirements])) return false;
  if (env.PYTHON && env.PYTHON !== stamp.requested) return false;
  // It is run, because an upgrade of the system can take the interpreter away from under it.
  return ask(join(root, '.venv', 'bin', 'python'), env)?.version === stamp.version;
}

function pip(folder) {
  const flags = ['--quiet', '--no-input', '--disable-pip-version-check', '--no-deps', '--only-binary', ':all:'];
  return [join(folder, 'bin', 'python'), '-I', '-m', 'pip', 'install', ...flags, '--require-hashes', '--requirement'];
}

function pointTo(root, folder) {
  const link = join(root, '.venv');
  const isFolder = lstatSync(link, { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isFolder) renameSync(link, `${folder}-replaced`);
  symlinkSync(join('.setup', basename(folder)), `${folder}-link`);
  renameSync(`${folder}-link`, link);
}

/** Removes former and half-made environments, except those that some process still has open. */
function removeUnused(root, current) {
  const folders = readdirSync(join(root, '.setup')).filter((name) => name.startsWith('python-'));
  const unused = folders.map((name) => join(root, '.setup', name)).filter((path) => path !== current);
  if (unused.length === 0) return;
  const used = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `${read(`/proc/${pid}/cmdline`)}\n${read(`/proc/${pid}/maps`)}`)
    .join('\n');
  for (const path of unused) if (!used.includes(`${path}/`)) rmSync(path, { recursive: true, force: true });
}

/** A file of /proc, empty if the process is gone or another user's. */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(error.code)) return '';
    throw error;
  }
}
