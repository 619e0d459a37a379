import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../ansible/bench.js';
import { signal } from '../service/processes.js';
import { Playbooks, type Answer, type Task } from './playbooks.js';
import { needsSshd, Targets } from './sshd.js';

/** The whole way through Ansible: over sshd and with a local connection, each task on all hosts at once. */
needsSshd('a task started by Ansible', () => {
  let targets: Targets;
  let playbooks: Playbooks;

  beforeAll(async () => {
    targets = await Targets.open({ hosts: 1 });
    playbooks = new Playbooks(targets);
  });

  afterAll(async () => {
    playbooks.close();
    await targets[Symbol.asyncDispose]();
  });

  test('is a job of async_status, runs once, and is told alike by both', async () => {
    const shell = `echo out; echo ran >> "$LEDGER"; until [ -e ${targets.folder}/go ]; do sleep 0.2; done; exit 3`;
    const jobs = new Jobs(targets, [{ shell }]);
    const start = jobs.launch(0);
    const [prepared, first, second, look, status] = byTask(
      await playbooks.run('all', [jobs.prepare(), start, start, jobs.look(), jobs.status(0)], jobs.vars),
    );
    for (const host of targets.hosts) {
      const { ansible_job_id: job_id } = first![host].jobs[0];
      expect(prepared![host].jobs[0]).toMatchObject({ dir: jobs.of(host, 0).dir });
      expect(first![host].jobs[0]).toMatchObject({ started: true, longhaul: { claim: 'taken' } });
      expect(second![host].jobs[0]).toMatchObject({ started: true, ansible_job_id: job_id });
      expect(look![host].jobs[0]).toMatchObject({ state: 'running', supervised: true, job_id });
      expect(status![host]).toMatchObject({ started: true, finished: false, ansible_job_id: job_id });
    }
    writeFileSync(path.join(targets.folder, 'go'), '');
    await jobs.ended();
    const [seen, told, cleaned, again] = byTask(
      await playbooks.run('all', [jobs.look(), jobs.status(0), jobs.clean(), start], jobs.vars),
    );
    for (const host of targets.hosts) {
      const result = { rc: 3, failed: true, msg: 'non-zero return code' };
      expect(seen![host].jobs[0]).toMatchObject({ state: 'finished', result, stdout: { data: 'b3V0Cg==' } });
      expect(told![host]).toMatchObject({
        finished: true,
        rc: 3,
        msg: 'non-zero return code',
        stdout: 'out',
        cmd: shell,
      });
      expect(cleaned![host].jobs[0].cleaned).toBe(true);
      const { ansible_job_id: job_id } = first![host].jobs[0];
      expect(again![host].jobs[0]).toMatchObject({ started: true, ansible_job_id: job_id });
      expect(readFileSync(jobs.ledgerOf(host), 'utf8')).toBe('ran\n');
    }
    const left = readdirSync(path.join(targets.folder, 'tmp/remote'), { recursive: true }).map(String);
    expect(left.filter((name) => name.includes('longhaul_launch'))).toEqual([]);
  });

  test('may be any module: what it answers is its result, and that of async_status', async () => {
    addModules(playbooks.library);
    const file = path.join(targets.folder, 'no/such/file');
    const absent = expect.stringMatching(/absent/) as string;
    const facts = { ansible_facts: expect.any(Object) as object };
    const junk = { junk: true, warnings: [expect.stringMatching(/junk after/) as string] };
    const silent = expect.stringMatching(/without an answer[^]*no answer here/) as string;
    const large = 'head -c 5000000 /dev/zero | tr "\\0" x; exit 5';
    const modules: [Task, object][] = [
      [{ command: 'echo by command' }, { rc: 0, failed: false, changed: true, module: { stdout: 'by command' } }],
      [{ shell: 'kill -KILL $$' }, { rc: -9, failed: true }],
      [{ shell: large }, { rc: 5, failed: true, stdout_bytes: 5_000_000, msg: 'non-zero return code' }],
      [{ ping: { data: '{{ 7 * 6 }}' } }, { rc: 0, changed: false, module: { ping: '42' } }],
      [{ file: { path: file, state: 'file' } }, { rc: 1, failed: true, msg: absent }],
      [{ setup: { gather_subset: '!all,!min' } }, { rc: 0, module: facts }],
      [{ junk: {} }, { rc: 0, module: junk }],
      [{ oldstyle: 'a=1' }, { rc: 0, module: { told: 1 } }],
      [{ binary: {} }, { rc: 0, module: { binary: true } }],
      [{ broken: {} }, { rc: 3, failed: true, module: null, msg: silent }],
    ];
    const none = modules.map(() => ({}));
    const jobs = new Jobs(targets, none);
    const starts = modules.map(([module], index) => ({ ...jobs.start(index), ...module }));
    const [, ...answers] = byTask(await playbooks.run('all', [jobs.prepare(), ...starts], jobs.vars));
    for (const answer of answers)
      for (const host of targets.hosts)
        expect(answer[host]).toMatchObject({ started: true, longhaul: { claim: 'taken' } });
    await jobs.ended();
    const [look, asked, huge] = byTask(
      await playbooks.run('all', [jobs.look(), jobs.status(4), jobs.status(2)], jobs.vars),
    );
    for (const host of targets.hosts) {
      for (const [index, [module, result]] of modules.entries())
        expect(look![host].jobs[index], `${host} ${JSON.stringify(module)}`).toMatchObject({
          state: 'finished',
          result,
        });
      expect(asked![host]).toMatchObject({ finished: true, msg: absent });
      expect(huge![host]).toMatchObject({ finished: true, rc: 5, stdout: 'x'.repeat(65536) });
    }
  });

  test('is ended over a new connection after the old one and its wrapper were killed', async () => {
    const jobs = new Jobs(targets, [{ shell: 'trap "" TERM; echo up >> "$LEDGER"; setsid sleep 600' }]);
    await playbooks.run('all', [jobs.prepare(), jobs.launch(0)], jobs.vars);
    await until('all of them', () => targets.hosts.every((host) => existsSync(jobs.ledgerOf(host))));
    for (const host of targets.hosts) {
      const claim = JSON.parse(readFileSync(path.join(jobs.of(host, 0).dir, 'claim.1'), 'utf8'));
      signal(claim.supervisor.pid, 'SIGKILL');
    }
    await targets.servers[0]!.stop();
    await targets.servers[0]!.start();
    const [end, look] = byTask(await playbooks.run('all', [jobs.end(), jobs.look()], jobs.vars));
    for (const host of targets.hosts) {
      expect(end![host].jobs).toEqual([{ left: [], unknown: null }]);
      expect(look![host].jobs[0]).toMatchObject({ state: 'finished', result: { cause: 'cancel', failed: true } });
    }
  });
});

/** The tasks' attempts on each host, and the playbook's tasks that are about them. */
class Jobs {
  private readonly run = randomBytes(8).toString('hex');

  constructor(
    private readonly targets: Targets,
    private readonly works: object[],
  ) {}

  get vars() {
    return {
      jobs: Object.fromEntries(
        this.targets.hosts.map((host) => [host, this.works.map((_, index) => this.of(host, index))]),
      ),
    };
  }

  of(host: string, index: number) {
    const id = createHash('sha256').update(`${host} ${this.run} ${index}`).digest('hex').slice(0, 32);
    const none = { argv: null, shell: null, chdir: null, timeout: null, grace: 0.5, kept: 3600 };
    const dir = path.join(this.targets.dataOf(host), id);
    const key = { id, marker: `LONGHAUL_TASK=${id}`, token: 'token', host, run_id: this.run, attempt: index };
    return { ...none, ...key, dir, cause: 'cancel', reason: 'asked to', stdout: 0, stderr: 0, ...this.works[index] };
  }

  ended(): Promise<void> {
    const folders = this.targets.hosts.flatMap((host) => this.works.map((_, index) => this.of(host, index).dir));
    return until('the ends', () => folders.every((folder) => existsSync(path.join(folder, 'result.json'))));
  }

  ledgerOf(host: string): string {
    return path.join(this.targets.dataOf(host), `ledger.${this.run}`);
  }

  prepare(): Task {
    return { longhaul_prepare: { jobs: '{{ jobs[inventory_hostname] }}', base: '{{ data }}' } };
  }

  /** What an asynchronous task has besides its module. */
  start(index: number): Task {
    const job = `jobs[inventory_hostname][${index}]`;
    return {
      async: 3600,
      poll: 0,
      vars: { ansible_async_dir: `{{ ${job}.dir }}` },
      environment: {
        LONGHAUL_TASK: `{{ ${job}.id }}`,
        LONGHAUL_TOKEN: 'token',
        LEDGER: `{{ data }}/ledger.${this.run}`,
      },
    };
  }

  /** The start of a command. */
  launch(index: number): Task {
    const dir = `{{ jobs[inventory_hostname][${index}].dir }}`;
    return {
      longhaul_launch: { jobs: [{ dir, token: 'token' }] },
      environment: { LEDGER: `{{ data }}/ledger.${this.run}` },
    };
  }

  look(): Task {
    return { longhaul_look: { jobs: '{{ jobs[inventory_hostname] }}' } };
  }

  end(): Task {
    return { longhaul_end: { jobs: '{{ jobs[inventory_hostname] }}' } };
  }

  clean(): Task {
    return { longhaul_clean: { dirs: "{{ jobs[inventory_hostname] | map(attribute='dir') }}", kept: 3600 } };
  }

  /** Ansible's own, asked by the name that is on record. */
  status(index: number): Task {
    const dir = `jobs[inventory_hostname][${index}].dir`;
    return {
      async_status: { jid: `{{ (lookup('file', ${dir} ~ '/claim.1') | from_json).job_id }}` },
      vars: { ansible_async_dir: `{{ ${dir} }}` },
    };
  }
}

/** Results by host, in the order of the tasks. */
function byTask(answers: Answer[]): Record<string, any>[] {
  const tasks: Record<string, any>[] = [];
  for (const { host, task, result } of answers) (tasks[Number(task)] ??= {})[host] = result;
  return tasks;
}

function addModules(library: string): void {
  const add = (name: string, text: string) => {
    writeFileSync(path.join(library, name), text, 'latin1');
    chmodSync(path.join(library, name), 0o755);
  };
  add('junk.py', `#!/usr/bin/python\nprint('motd\\n{"junk": true}\\nbye')\n# WANT_JSON\n`);
  add('oldstyle', `#!/bin/sh\necho '{"told": '$(grep -c a=1 "$1")'}'\n`);
  add('binary', `#!/bin/sh\necho '{"binary": true}'\nexit 0\n${'\0\x01\x02\x03'.repeat(50)}`);
  add('broken', `#!/bin/sh\necho no answer here\nexit 3\n`);
}
