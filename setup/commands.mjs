import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { SetupError } from './command.mjs';
import { prepare, rebuild } from './prepare.mjs';
import { runTests } from './test-run.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const modes = {
  /** Installs and builds what is missing or out of date, nothing else. With `--development`, also what only checks and tests need. */
  setup: (args) => prepare(root, { env: process.env, development: args.includes('--development') }),

  /** Sets up, then becomes the service: the same process, so that signals reach it without a go-between. */
  async start() {
    await prepare(root, { env: process.env });
    await import(pathToFileURL(join(root, 'dist', 'src', 'service', 'main.js')).href);
  },

  /** Makes, lists and revokes the API's tokens. */
  async token(args) {
    await prepare(root, { env: process.env });
    const command = await import(pathToFileURL(join(root, 'dist', 'src', 'commands', 'token', 'main.js')).href);
    process.exitCode = await command.token(args);
  },

  async test(args) {
    await prepare(root, { env: process.env, development: true });
    process.exitCode = await runTests(root, args);
  },

  /** Measures what watching costs, as a table and as JSON; see test/bench. */
  async bench(args) {
    await prepare(root, { env: process.env, development: true });
    process.exitCode = await runScript(join(root, 'test', 'bench', 'main.ts'), args);
  },

  /** Builds `dist/` whether or not it is up to date. */
  build: () => rebuild(root),
};

/** Runs a script in TypeScript. @returns its exit code */
async function runScript(script, args) {
  const tsx = join(root, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const [code] = await once(spawn(process.execPath, [tsx, script, ...args], { cwd: root, stdio: 'inherit' }), 'close');
  return code ?? 1;
}

/** Runs one of the modes above. Rejects with a SetupError whose message is meant for the person at the keyboard. */
export async function run(mode, args) {
  if (!Object.hasOwn(modes, mode))
    throw new SetupError(`Unknown command ${mode}. Use npm start, npm test or npm run setup.`);
  await modes[mode](args);
}
