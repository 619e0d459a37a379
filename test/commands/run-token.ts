import { spawn } from 'node:child_process';
import { packageRoot } from '../../src/config.js';

/** What the command printed, and how it ended. */
export interface TokenRun {
  code: number | null;
  /** Standard output. */
  printed: string;
  /** Standard error. */
  told: string;
}

/** Runs `npm run token` as npm does. */
export function runToken(env: NodeJS.ProcessEnv, ...args: string[]): Promise<TokenRun> {
  const child = spawn(process.execPath, ['setup/main.mjs', 'token', ...args], {
    cwd: packageRoot(),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run: TokenRun = { code: null, printed: '', told: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (run.printed += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (run.told += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...run, code }));
  });
}

/** Makes a token that must be made; its text. */
export async function makeToken(env: NodeJS.ProcessEnv, tenant: string, scopes: string): Promise<string> {
  const { code, printed, told } = await runToken(env, 'create', '--tenant', tenant, '--scopes', scopes);
  if (code !== 0) throw new Error(`no token (${code}): ${told}`);
  return printed.trim();
}
