import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { loadConfig, packageRoot } from '../../src/config.js';

/** What a run gave: its output as the bytes on disk, and how it ended. */
export interface ByHand {
  output: string;
  rc: number | null;
}

/** A copy of test/service/project, as somebody has it who runs ansible-playbook there by hand. */
export class RealProject {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'longhaul-project-'));
  readonly playbooks = path.join(this.folder, 'project');
  readonly passwordFile = path.join(this.folder, 'vault-password');
  #calls = 0;

  constructor() {
    cpSync(path.join(packageRoot(), 'test', 'service', 'project'), this.playbooks, { recursive: true });
    writeFileSync(this.passwordFile, 'open sesame\n', { mode: 0o600 });
  }

  /** The environment of a service that has this project. */
  get settings(): Record<string, string> {
    return {
      PLAYBOOKS_DIR: this.playbooks,
      INVENTORIES_DIR: path.join(this.playbooks, 'inventories'),
      VAULT_PASSWORD_FILE: this.passwordFile,
      FLEET_OUT: path.join(this.folder, 'out-service'),
    };
  }

  /** Writes a file outside the project; its path. */
  file(name: string, content: string): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, content);
    return file;
  }

  /** Runs `ansible-playbook ARGUMENT...` in the project. */
  async byHand(...given: string[]): Promise<ByHand> {
    const file = path.join(this.folder, `by-hand-${(this.#calls += 1)}.log`);
    const output = openSync(file, 'w');
    const program = path.join(path.dirname(loadConfig({}).python), 'ansible-playbook');
    const child = spawn(program, [`--vault-password-file=${this.passwordFile}`, ...given], {
      cwd: this.playbooks,
      env: { ...process.env, PWD: this.playbooks, FLEET_OUT: path.join(this.folder, 'out-by-hand') },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    const [rc] = (await once(child, 'close')) as [number | null];
    return { output: readFileSync(file, 'utf8'), rc };
  }

  /** Empties the folders that the playbooks write to. */
  clear(): void {
    for (const name of ['out-service', 'out-by-hand']) {
      rmSync(path.join(this.folder, name), { recursive: true, force: true });
      mkdirSync(path.join(this.folder, name));
    }
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Output without what differs between any two runs of the same: temporary names, process ids, times. */
export function withoutChance(output: string): string {
  return output
    .replace(/ansible-tmp-[\d.]+-\d+-\d+/g, 'ansible-tmp')
    .replace(/ansible-local-\w+/g, 'ansible-local')
    .replace(/\btmp[a-z0-9_]{8}\b/g, 'tmp')
    .replace(/out-(service|by-hand)/g, 'out')
    .replace(/\b(start|end|delta): .*/g, '$1')
    .replace(/"(start|end|delta)": "[^"]*"/g, '"$1"');
}

/** The counters of a recap by host, in the names that documents use. */
export function recapOf(output: string): Record<string, Record<string, number>> {
  const recap = output.slice(output.lastIndexOf('\nPLAY RECAP'));
  const lines = recap.matchAll(
    /^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+) +skipped=(\d+) +rescued=(\d+) +ignored=(\d+)/gm,
  );
  const names = ['ok', 'changed', 'unreachable', 'failures', 'skipped', 'rescued', 'ignored'];
  return Object.fromEntries(
    [...lines].map(([, host, ...counts]) => [
      host,
      Object.fromEntries(names.map((name, index) => [name, Number(counts[index])])),
    ]),
  );
}
