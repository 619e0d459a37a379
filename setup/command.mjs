import { spawn } from 'node:child_process';

/** Something stands in the way of setting up. The message says what, and what to do about it. */
export class SetupError extends Error {
  name = 'SetupError';
}

/**
 * Runs a command to its end, quietly. Its output is shown only if it fails.
 * @param argv program and arguments
 * @param options.keepOpen a file descriptor the command inherits, so that what it stands for outlives us if we are killed
 * @throws SetupError with what was being done, the command and the end of its output
 */
export async function runQuietly(argv, { purpose, cwd, env, keepOpen }) {
  const stdio = ['ignore', 'pipe', 'pipe', ...(keepOpen === undefined ? [] : [keepOpen])];
  const child = spawn(argv[0], argv.slice(1), { cwd, env, stdio });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  const end = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(code === 0 ? undefined : signal ? `ended by ${signal}` : `exit code ${code}`),
    );
  });
  if (end === undefined) return;
  const shown = output.trim().split('\n').slice(-40).join('\n');
  throw new SetupError(`${shown}\n\n${purpose} failed (${end}): ${argv.join(' ')}`);
}

/** One short line about what set-up is doing. */
export function say(line) {
  console.log(line);
}
