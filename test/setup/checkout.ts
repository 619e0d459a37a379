import { spawn } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { packageRoot } from '../../src/config.js';

const root = packageRoot();

/** What a command said and how it ended. */
export interface Ended {
  code: number | null;
  output: string;
}

/** A temporary folder that goes with the test. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'longhaul-setup-')));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder for PATH with Node and with programs that are shell scripts of the given text. */
export function pathWith(programs: Record<string, string>): string {
  const folder = temporaryFolder();
  symlinkSync(process.execPath, join(folder, 'node'));
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

/** An interpreter that answers set-up's question like a Python of that version. */
export function pythonStub(version: string, { venv }: { venv: boolean }): string {
  return `echo ${version}; echo "$0"; echo '${venv ? 'venv' : 'no venv'}'`;
}

/**
 * A small checkout of its own: this project's set-up, packages and (unless without `.venv`) Python, and sources of a few lines, so
 * that building it takes moments.
 */
export function smallCheckout({ venv }: { venv: boolean }): string {
  const folder = temporaryFolder();
  for (const name of ['setup', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  for (const name of ['requirements.txt', 'requirements-dev.txt'])
    write(folder, `python/${name}`, join(root, 'python', name));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  if (venv) symlinkSync(realpathSync(join(root, '.venv')), join(folder, '.venv'));
  writeSource(folder, 'worker.ts', 'export {};\n');
  writeSource(folder, 'src/workflows/index.ts', 'export async function hello(): Promise<void> {}\n');
  return folder;
}

/** Writes a source file of a checkout. */
export function writeSource(checkout: string, name: string, content: string): void {
  mkdirSync(dirname(join(checkout, name)), { recursive: true });
  writeFileSync(join(checkout, name), content);
}

/** Runs set-up in a checkout to its end. `killWhen` ends it by SIGKILL as soon as its output has that text. */
export function setUp(checkout: string, env: NodeJS.ProcessEnv = {}, killWhen?: string): Promise<Ended> {
  const script = join(checkout, 'setup', 'main.mjs');
  const child = spawn(process.execPath, [script, 'setup'], { cwd: checkout, env: { ...process.env, ...env } });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (killWhen !== undefined && output.includes(killWhen)) child.kill('SIGKILL');
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

function write(folder: string, name: string, from: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  cpSync(from, join(folder, name));
}
