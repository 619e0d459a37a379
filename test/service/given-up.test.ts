import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TaskSpec } from '../../src/job/kinds/task.js';
import { JobSpec } from '../../src/job/spec.js';
import type { TargetsRef } from '../../src/job/target-protocol.js';
import { TargetLedger } from '../../src/targets/ledger.js';
import { needsSshd } from '../targets/sshd.js';
import { also } from './chaos.js';
import { signal, until } from './processes.js';
import { TargetService } from './target-service.js';

let targets: TargetService;
beforeAll(async () => {
  targets = await TargetService.start({ hosts: 3, servers: 3 }, { CLEANUP_INTERVAL: '1' });
});
afterAll(() => targets.destroy());

needsSshd('a task', () => {
  it('whose host stays away is given up when it said so; it is kept until what lives there could be ended', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const job = await targets.submit({
      command: targets.sleeper('lost'),
      hosts: 'ssh-2',
      name: 'lost',
      unreachable_after: 3,
      ttl: 1,
    });
    const pid = await targets.pidOf('lost');
    await targets.service.reaches(job.job_id, 'running');
    await server.stop();
    expect(await targets.service.ended(job.job_id)).toMatchObject({ failure: { kind: 'unreachable' } });
    const hasExpired = async (id: string) => (await targets.service.get(`/api/v1/jobs/${id}`)).status === 404;
    const never = await targets.submit({ command: 'true', hosts: 'ssh-2', unreachable_after: 1, ttl: 1 });
    await until('one that never came there to have expired', () => hasExpired(never.job_id));
    expect(await hasExpired(job.job_id)).toBe(false);
    expect(targets.isAlive(pid)).toBe(true);
    await server.start();
    await until('what was given up to be ended', () => !targets.isAlive(pid));
    await until('the job to have expired', () => hasExpired(job.job_id));
  });

  it('is abandoned on the hosts that can not be reached, and goes on on the others; what lives there is ended later', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const abandon = (id: string) => targets.service.post(`/api/v1/jobs/${id}/abandon`, { reason: 'scrap' });
    const both = await targets.submit({ command: targets.sleeper('cut-off'), hosts: 'ssh-2', name: 'cut-off' });
    const pid = await targets.pidOf('cut-off');
    await targets.service.reaches(both.job_id, 'running');
    expect(await abandon(both.job_id)).toMatchObject({ status: 409, body: { type: '/problems/hosts-reachable' } });
    await server.stop();
    const never = await targets.submit({ command: 'true', hosts: 'ssh-2', name: 'never-there' });
    const job = await targets.submit({ command: targets.gated('half'), hosts: 'ssh-1,ssh-2', name: 'half' });
    await until('one to have begun', () => targets.lines('half').length === 1);
    const isAway = async (id: string): Promise<boolean> =>
      /reached/.test((await targets.service.job(id)).hosts?.['ssh-2']?.message ?? '');
    const scrapped = { status: 'failed', failure: { kind: 'unreachable', message: 'Abandoned: scrap' } };
    for (const id of [both.job_id, never.job_id, job.job_id]) {
      await until(`${id} to be out of reach`, () => isAway(id));
      await until(`${id} to be out of reach for long enough`, async () => (await abandon(id)).status === 202);
    }
    for (const id of [both.job_id, never.job_id])
      expect(await targets.service.ended(id)).toMatchObject({
        ...scrapped,
        failure: { message: 'ssh-2: Abandoned: scrap' },
      });
    await expect
      .poll(async () => (await targets.service.job(job.job_id)).hosts, { timeout: 60_000 })
      .toMatchObject({ 'ssh-1': { status: 'running' }, 'ssh-2': scrapped });
    targets.open('half');
    const ended = await targets.service.ended(job.job_id);
    expect(ended).toMatchObject({
      status: 'failed',
      result: { rc: null },
      hosts: { 'ssh-1': { status: 'successful' }, 'ssh-2': scrapped },
    });
    const ledger = new TargetLedger(path.join(targets.service.dataDir, 'targets'));
    await until('that to be on record', async () =>
      (await ledger.all()).some(({ run_id, given_up_by }) => run_id === both.run_id && given_up_by !== undefined),
    );
    await targets.service.delete(`/api/v1/jobs/${both.job_id}`);
    expect(targets.isAlive(pid)).toBe(true);
    await server.start();
    await until('what was given up to be ended', () => !targets.isAlive(pid));
    expect(targets.lines('half')).toEqual(['begin', 'end']);
  });

  also(
    'is ended where it was abandoned while it goes on elsewhere, and where it was out of reach when it has ended',
    async () => {
      const server = targets.targets.serverOf('ssh-2');
      const sleeps = (name: string) =>
        `case $SSH_CONNECTION in *" 127.0.0.2 "*) ${targets.sleeper(name)};; *) ${targets.gated(name)};; esac`;
      const submit = (name: string, more: object) =>
        targets.submit({ command: sleeps(name), hosts: 'ssh-1,ssh-2', name, ...more });
      const [short, long] = [
        await submit('short-patience', { unreachable_after: 3 }),
        await submit('long-patience', {}),
      ];
      const pids = [await targets.pidOf('short-patience'), await targets.pidOf('long-patience')];
      const onSecond = async (id: string) => (await targets.service.job(id)).hosts?.['ssh-2'];
      await until('its id', async () => (await onSecond(long.job_id))?.ansible_job_id != null);
      const { ansible_job_id } = await onSecond(long.job_id);
      await server.stop();
      const abandon = () => targets.service.post(`/api/v1/jobs/${long.job_id}/abandon`, { reason: 'scrap' });
      await until('it to be out of reach', async () => {
        const { status, body } = await abandon();
        if (status === 409) expect(body.detail).toMatch(/tells how it stands|ssh-2 can be given up when/);
        return status === 202;
      });
      for (const { job_id } of [short, long])
        await until('one to be given up', async () => (await onSecond(job_id))?.failure?.kind === 'unreachable');
      expect(await onSecond(long.job_id)).toMatchObject({ ansible_job_id });
      expect(pids.map((pid) => targets.isAlive(pid))).toEqual([true, true]);
      await server.start();
      await until('what was abandoned to be ended', () => !targets.isAlive(pids[1]!));
      for (const name of ['short-patience', 'long-patience']) targets.open(name);
      for (const { job_id } of [short, long]) {
        const ended = await targets.service.ended(job_id);
        expect(ended).toMatchObject({ status: 'failed', hosts: { 'ssh-1': { status: 'successful' } } });
      }
      await until('what was out of reach for too long to be ended', () => !targets.isAlive(pids[0]!));
    },
  );

  also('that is canceled and abandoned is over where its host can be reached', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const command = `case $SSH_CONNECTION in *" 127.0.0.3 "*) ;; *) ${targets.gated('over')};; esac`;
    const job = await targets.submit({ command, hosts: 'ssh-1,ssh-2,ssh-3', name: 'over' });
    await until('two to have begun', () => targets.lines('over').length === 2);
    await until('one to have ended', async () => {
      const { hosts } = await targets.service.job(job.job_id);
      return hosts?.['ssh-3']?.status === 'successful';
    });
    const others = [server, targets.targets.serverOf('ssh-3')];
    for (const each of others) await each.stop();
    await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    await until('it to wait for its host', async () => {
      const { hosts, status } = await targets.service.job(job.job_id);
      return status === 'canceling' && /reached/.test(hosts['ssh-2']?.message ?? '');
    });
    await until('it to be out of reach for long enough', async () => {
      const answer = await targets.service.post(`/api/v1/jobs/${job.job_id}/abandon`, { reason: 'scrap' });
      return answer.status === 202;
    });
    expect(await targets.service.ended(job.job_id)).toMatchObject({
      status: 'failed',
      hosts: {
        'ssh-1': { status: 'canceled' },
        'ssh-2': { failure: { kind: 'unreachable' } },
        'ssh-3': { status: 'successful' },
      },
    });
    for (const each of others) await each.start();
  });

  it('of which Temporal knows nothing is remembered for 30 days, also where its host is not there', async () => {
    const folder = path.join(targets.service.dataDir, 'targets');
    const ledger = new TargetLedger(folder);
    const spec = JobSpec.parse({ ...targets.spec, command: 'true', hosts: 'gone' }) as TaskSpec;
    const refTo = (workflow_id: string): TargetsRef => {
      const places = { gone: { local: false, dir: '/nowhere', token: '0'.repeat(32) } };
      return { workflow_id, run_id: randomUUID(), attempt: 1, spec, places };
    };
    const crashed = (): Promise<void> => Promise.reject(new Error('crashed'));
    const refs = ['old, ended', 'old, open', 'new, ended', 'new, open'].map(refTo);
    const before = Date.now() / 1000 - 31 * 86_400;
    for (const ref of refs) {
      await (ref.workflow_id.endsWith('ended')
        ? ledger.markEnded(ref)
        : ledger.while(ref, crashed, () => true).catch(() => undefined));
      const [file] = readdirSync(folder).filter((name) => name.startsWith(ref.run_id));
      if (ref.workflow_id.startsWith('old')) utimesSync(path.join(folder, file!), before, before);
    }
    const remembered = async () =>
      (await ledger.all()).map(({ workflow_id }) => workflow_id).filter((id) => /, (ended|open)$/.test(id));
    await until('the old to be forgotten', async () => (await remembered()).every((id) => !id.startsWith('old')));
    expect((await remembered()).sort()).toEqual(['new, ended', 'new, open']);
  });

  it('of which its host can not tell whether it runs can be abandoned, and is ended when that can tell', async () => {
    const command = targets.sleeper('hidden');
    const job = await targets.submit({ command, hosts: 'ssh-1', name: 'hidden', timeout: 20 });
    const pid = await targets.pidOf('hidden');
    await targets.service.reaches(job.job_id, 'running');
    const tasks = path.join(targets.targets.folder, 'tasks');
    const isIts = (id: string) => readFileSync(path.join(tasks, id, 'plan.json'), 'utf8').includes('/hidden.sh');
    const [id] = readdirSync(tasks).filter((name) => /^[0-9a-f]{32}$/.test(name) && isIts(name));
    const claim = path.join(tasks, id!, 'claim.1');
    const truth = readFileSync(claim, 'utf8');
    // As after a restart of the container that is its host.
    const { supervisor, ansible } = JSON.parse(truth) as Record<string, { pid: number }>;
    for (const { pid } of [supervisor!, ansible!]) signal(pid, 'SIGKILL');
    writeFileSync(claim, truth.replaceAll(/pid:\[\d+\]/g, 'pid:[1]'));
    const said = async () => (await targets.service.job(job.job_id)).hosts?.['ssh-1']?.message ?? '';
    await until('its timeout to have passed', async () => (await said()).startsWith('ssh-1: whether'));
    const abandon = () => targets.service.post(`/api/v1/jobs/${job.job_id}/abandon`, { reason: 'restarted' });
    await until('nobody to have known for long enough', async () => (await abandon()).status === 202);
    expect(await targets.service.ended(job.job_id)).toMatchObject({
      failure: { kind: 'unreachable', message: 'ssh-1: Abandoned: restarted' },
    });
    expect(targets.isAlive(pid)).toBe(true);
    writeFileSync(claim, truth);
    await until('what was given up to be ended', () => !targets.isAlive(pid));
  });
});
