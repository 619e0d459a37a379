import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { SetupError } from './command.mjs';

const least = [3, 11];
const usual = ['python3.13', 'python3.12', 'python3.11', 'python3'];

// Readable to any Python, however old.
const question = `
import sys
print(".".join(str(part) for part in sys.version_info[:3]))
print(sys.executable)
try:
    import ensurepip, venv
    print("venv")
except ImportError:
    print("no venv")
`;

/**
 * A Python that can make Longhaul's virtual environment: PYTHON if it is set, else the newest usable one of the usual names.
 * Each is asked by running it.
 * @returns {{ version: string, executable: string }}
 * @throws SetupError saying what was found and what to install
 */
export function findPython(env) {
  const candidates = env.PYTHON ? [env.PYTHON] : usual.flatMap((name) => onPath(name, env));
  const found = candidates.map((candidate) => ask(candidate, env)).filter((python) => python !== undefined);
  const usable = found.find((python) => isRecent(python) && python.canMakeEnvironments);
  if (usable) return usable;
  throw new SetupError(explain(found, env.PYTHON));
}

/** All of that name, not only the first: it may be a shim with nothing behind it, in front of one that works. */
function onPath(name, env) {
  const folders = (env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).filter((path) => existsSync(path));
}

/** What the interpreter says of itself, or undefined if it doesn't run. */
export function ask(name, env) {
  const answer = spawnSync(name, ['-E', '-c', question], { env, encoding: 'utf8', timeout: 20_000 });
  if (answer.status !== 0) return undefined;
  const [version, executable, environments] = answer.stdout.trim().split('\n');
  return { version, executable, canMakeEnvironments: environments === 'venv' };
}

function isRecent({ version }) {
  const [major, minor] = version.split('.').map(Number);
  return major > least[0] || (major === least[0] && minor >= least[1]);
}

function explain(found, requested) {
  const need = `Longhaul needs Python ${least.join('.')} or newer with its venv module.`;
  const orName = requested ? 'set PYTHON to another one, or unset it' : 'set PYTHON to the path of one';
  const recent = found.find(isRecent);
  if (recent) {
    const [major, minor] = recent.version.split('.');
    return (
      `${need} Python ${recent.version} (${recent.executable}) lacks it. Install it ` +
      `(Debian, Ubuntu: apt-get install python${major}.${minor}-venv), or ${orName}.`
    );
  }
  const install = 'Install a newer one (Debian, Ubuntu: apt-get install python3 python3-venv)';
  if (found.length > 0) {
    const list = [...new Set(found.map((python) => `${python.version} (${python.executable})`))].join(', ');
    return `${need} Found only Python ${list}. ${install}, or ${orName}.`;
  }
  if (requested) return `${need} PYTHON=${requested} does not run. Correct it, or unset it.`;
  return `${need} None was found on PATH. Install one (Debian, Ubuntu: apt-get install python3 python3-venv), or ${orName}.`;
}
