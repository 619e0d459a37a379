import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { loadConfig } from '../../src/config.js';
import type { Targets } from './sshd.js';

/** A task of a playbook, as YAML would have it. */
export type Task = Record<string, unknown>;

export interface Answer {
  host: string;
  /** The task's name, or its number. */
  task: string;
  status: 'ok' | 'failed' | 'unreachable';
  result: any;
}

/** Runs playbooks of a few tasks by the real ansible-playbook, with our modules and wrapper, without its start-up time. */
export class Playbooks {
  private readonly waiting = new Map<string, (rc: number) => void>();
  private readonly server: ChildProcess;
  /** A folder for modules of a test's own. */
  readonly library: string;

  constructor(private readonly targets: Targets) {
    this.library = path.join(targets.folder, 'library');
    mkdirSync(this.library);
    const { root, python } = loadConfig({});
    const here = path.join(import.meta.dirname, 'ansible');
    this.server = spawn(python, [path.join(here, 'server.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: targets.folder,
      env: {
        ...targets.env,
        ANSIBLE_LIBRARY: [path.join(root, 'python/target_modules/library'), this.library].join(':'),
        ANSIBLE_MODULE_UTILS: path.join(root, 'python'),
        ANSIBLE_CALLBACK_PLUGINS: path.join(here, 'callback'),
        ANSIBLE_STDOUT_CALLBACK: 'answers',
        ANSIBLE_FORKS: '10',
      },
    });
    createInterface({ input: this.server.stdout! }).on('line', (line) => {
      const [id = '', rc] = line.split(' ');
      this.waiting.get(id)?.(Number(rc));
      this.waiting.delete(id);
    });
  }

  /** One after the other, also after one that failed, on each host of the pattern. */
  async run(hosts: string, tasks: Task[], vars: Record<string, unknown> = {}): Promise<Answer[]> {
    const id = randomBytes(6).toString('hex');
    const folder = path.join(this.targets.folder, 'plays');
    await mkdir(folder, { recursive: true });
    const [play, answers, output] = ['json', 'answers', 'output'].map((kind) => path.join(folder, `${id}.${kind}`));
    const numbered = tasks.map((task, index) => ({ name: String(index), ignore_errors: true, ...task }));
    await writeFile(play!, JSON.stringify([{ hosts, gather_facts: false, vars, tasks: numbered }]));
    await writeFile(answers!, '');
    const request = {
      id,
      arguments: ['-i', this.targets.inventory, play],
      environment: { ANSWERS: answers },
      output,
    };
    const ended = new Promise<number>((resolve) => this.waiting.set(id, resolve));
    this.server.stdin!.write(JSON.stringify(request) + '\n');
    const rc = await ended;
    const lines = (await readFile(answers!, 'utf8')).split('\n').filter((line) => line !== '');
    if (lines.length === 0) throw new Error(`ansible-playbook ended with ${rc}: ${await readFile(output!, 'utf8')}`);
    return lines.map((line) => JSON.parse(line) as Answer);
  }

  close(): void {
    this.server.stdin?.end();
  }
}
