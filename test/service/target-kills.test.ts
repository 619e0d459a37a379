import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { needsSshd } from '../targets/sshd.js';
import { chaos, pick, seeded } from './chaos.js';
import { livingProcesses, signal, until } from './processes.js';
import { TargetService } from './target-service.js';

const { rounds: kills, seed } = chaos(20, 100);
const jobs = 40;
const random = seeded(seed);

let hosts: TargetService;
beforeAll(async () => {
  hosts = await TargetService.start({ hosts: 4, servers: 4 });
  mkdirSync(path.join(hosts.targets.folder, 'traces'));
});
afterAll(() => hosts.destroy());

/** What is killed: parts of the service, and what is under way to hosts. */
const victims = {
  worker: () => hosts.service.processesOf('worker'),
  api: () => hosts.service.processesOf('api'),
  temporal: () => hosts.service.processesOf('temporal'),
  agent: () => commandsWith('longhaul_agent'),
  ssh: () => commandsWith('ssh ').filter(({ command }) => command.includes(hosts.targets.folder)),
} as const;
type Victim = keyof typeof victims;
const roles = Object.keys(victims) as Victim[];

/** A service one of whose parts dies five times within a minute ends, as it should. */
function mayDie(role: Victim, killed: readonly { role: string; at: number }[]): boolean {
  const lately = killed.filter((each) => each.role === role && Date.now() - each.at < 70_000);
  return role === 'agent' || role === 'ssh' || lately.length < 4;
}

function commandsWith(part: string): { pid: number; command: string }[] {
  return livingProcesses().filter(
    ({ command, environment }) => command.includes(part) && environment.includes(`TMPDIR=${hosts.service.folder}/tmp`),
  );
}

interface Planned {
  name: string;
  on: string[];
  rc: number;
}

needsSshd('kill -9 of anything at any moment', () => {
  it(`${kills} times: each of ${jobs} commands runs once on each of its hosts, and every document is true (seed ${seed})`, async () => {
    const planned = Array.from({ length: jobs }, (_, index): Planned => {
      const first = 1 + (index % 4);
      return {
        name: `job-${index}`,
        on: pick(random, [[`ssh-${first}`], [`ssh-${first}`, 'here'], ['here']]),
        rc: pick(random, [0, 0, 7]),
      };
    });
    const submitting = submitAll(planned);
    const killed: { role: string; at: number }[] = [];
    while (killed.length < kills) {
      await delay(random() * 2_000);
      const role = pick(
        random,
        roles.filter((each) => mayDie(each, killed)),
      );
      const found = victims[role]();
      if (found.length === 0) continue;
      signal(pick(random, found).pid, 'SIGKILL');
      killed.push({ role, at: Date.now() });
    }
    await submitting;
    for (const { name, on, rc } of planned) {
      const document = await hosts.service.ended(`task:${name}`, 300);
      expect(document).toMatchObject({
        failure: rc === 0 ? null : { kind: 'exit', message: expect.stringContaining(`rc ${rc}`) as string },
        status: rc === 0 ? 'successful' : 'failed',
        result: { rc },
        attempt: 1,
      });
      expect(Object.keys(document.hosts).sort()).toEqual([...on].sort());
      expect(startsOf(name)).toHaveLength(on.length);
    }
  }, 1_800_000);
});

/** Submits each under its name, as often as it takes. */
async function submitAll(planned: Planned[]): Promise<void> {
  for (const { name, on, rc } of planned) {
    const trace = path.join(hosts.targets.folder, 'traces', name);
    const command = `echo x >> ${trace}.$$; sleep ${(random() * 20).toFixed(1)}; exit ${rc}`;
    const spec = { ...hosts.spec, command, hosts: on.join(), name };
    await until(`${name} to be accepted`, async () => {
      const answer = await hosts.service.post('/api/v1/jobs', spec).catch(() => undefined);
      return answer !== undefined && [200, 202].includes(answer.status);
    });
    await delay(random() * 1_000);
  }
}

/** A line for each time that a command was begun. */
function startsOf(name: string): string[] {
  const folder = path.join(hosts.targets.folder, 'traces');
  return readdirSync(folder)
    .filter((file) => file.startsWith(`${name}.`))
    .flatMap((file) => readFileSync(path.join(folder, file), 'utf8').trim().split('\n'));
}
