import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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
  describe.each(['ssh', 'local'] as const)('over a %s connection', (connection) => {
    const test = connection === 'ssh' ? it : also;
    const host = connection === 'ssh' ? 'ssh-1' : 'here';

    it('runs a command once, shows how it stands, and keeps what it printed', async () => {
      const name = `first-${connection}`;
      const job = await targets.submit({ command: targets.gated(name, 'echo out; echo err >&2'), hosts: host, name });
      const running = await targets.service.reaches(job.job_id, 'running');
      expect(running).toMatchObject({ kind: 'task', node: connection === 'ssh' ? null : expect.any(String) });
      expect(running.hosts[host]).toMatchObject({
        status: 'running',
        ansible_job_id: expect.stringMatching(/^j\d+\.\d+$/),
      });
      await until('live output', async () => (await targets.service.job(job.job_id)).recent_logs.includes('out'));
      targets.open(name);
      const ended = await targets.service.ended(job.job_id);
      expect(ended).toMatchObject({ status: 'successful', result: { rc: 0, stdout: 'out\nerr\n' } });
      expect(ended.hosts[host]).toMatchObject({ status: 'successful', rc: 0, changed: true });
      expect(targets.lines(name)).toEqual(['begin', 'end']);
    });

    test('that fails says with which rc, and what it said last', async () => {
      const job = await targets.submit({ command: ['sh', '-c', 'echo no such thing >&2; exit 3'], hosts: host });
      expect(await targets.service.ended(job.job_id)).toMatchObject({
        status: 'failed',
        failure: { kind: 'exit', message: `${host}: it ended with rc 3: no such thing` },
        result: { rc: 3 },
      });
    });

    test('runs any module, whose arguments are data', async () => {
      const file = path.join(targets.targets.folder, `file-${connection}`);
      const args = { path: file, line: '{{ 1 + 1 }} $HOME', create: true };
      const job = await targets.submit({ task: { module: 'ansible.builtin.lineinfile', args }, hosts: host });
      const ended = await targets.service.ended(job.job_id);
      expect(ended).toMatchObject({ status: 'successful', result: { rc: 0 } });
      expect(JSON.parse(ended.result.stdout)).toMatchObject({ changed: true, msg: 'line added' });
      expect(readFileSync(file, 'utf8')).toBe('{{ 1 + 1 }} $HOME\n');
    });

    test('that is killed on its host says by which signal', async () => {
      const name = `killed-${connection}`;
      const job = await targets.submit({ command: `exec ${targets.sleeper(name)}`, hosts: host, name });
      signal(await targets.pidOf(name), 'SIGTERM');
      const ended = await targets.service.ended(job.job_id);
      expect(ended).toMatchObject({ failure: { kind: 'killed', signal: 15 }, result: { rc: -15 } });
    });

    test('that is canceled leaves nothing alive, nor what left its session and ignores signals', async () => {
      const name = `canceled-${connection}`;
      const stubborn = `setsid sh -c 'trap "" TERM; ${targets.sleeper(name)}' & wait`;
      const job = await targets.submit({ command: stubborn, hosts: host, name });
      const pid = await targets.pidOf(name);
      const answer = await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'enough' });
      expect(answer.body.status).toBe('canceling');
      expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled', error: 'Canceled: enough' });
      expect(targets.isAlive(pid)).toBe(false);
    });

    test('that takes longer than its timeout is ended with all that it started', async () => {
      const name = `late-${connection}`;
      const job = await targets.submit({
        command: `setsid ${targets.sleeper(name)} & wait`,
        hosts: host,
        name,
        timeout: 3,
      });
      const pid = await targets.pidOf(name);
      expect(await targets.service.ended(job.job_id)).toMatchObject({ failure: { kind: 'timed_out' } });
      expect(targets.isAlive(pid)).toBe(false);
    });

    test('leaves only its records on the host, or all if that is asked for', async () => {
      const folder = (cleanup: boolean): object => ({
        command: 'echo x',
        hosts: host,
        cleanup,
        async_dir: dir(cleanup),
      });
      const dir = (cleanup: boolean): string => path.join(targets.targets.folder, `kept-${connection}-${cleanup}`);
      for (const cleanup of [true, false]) await targets.service.ended((await targets.submit(folder(cleanup))).job_id);
      const left = (cleanup: boolean): string[] =>
        readdirSync(dir(cleanup))
          .filter((name) => !name.startsWith('.'))
          .flatMap((id) => readdirSync(path.join(dir(cleanup), id)));
      await until('the clean-up', () => !left(true).includes('stdout'));
      expect(left(true)).toContain('claim.1');
      expect(left(false)).toContain('stdout');
    });
  });

  it('on several hosts is successful only if it is on all, and says how it ended on each', async () => {
    const command = `case $PWD in *) echo here; test "$SSH_CONNECTION" = "" && exit 7; true;; esac`;
    const job = await targets.submit({ command, hosts: 'all' });
    const ended = await targets.service.ended(job.job_id);
    expect(ended).toMatchObject({
      failure: { kind: 'exit', message: '1 of 4 hosts failed: here (exit: it ended with rc 7)' },
      hosts: { 'ssh-1': { status: 'successful' }, here: { status: 'failed', rc: 7 } },
      progress: { tasks_done: 4 },
    });
    expect(ended.result.stdout).toContain('here | EXIT | rc=7 >>\nhere\nssh-1 | CHANGED | rc=0 >>\nhere\n');
    const one = await targets.service.get(`/api/v1/jobs/${job.job_id}/stdout?host=ssh-2`);
    expect(one.text).toBe('here\n');
  });

  it('is running in lists and counts, too, if nothing is heard of it any more after its start', async () => {
    const job = await targets.submit({ command: targets.gated('quiet'), hosts: 'here', name: 'quiet' });
    await targets.service.reaches(job.job_id, 'running');
    await until('it to be listed as running', async () => {
      const { body } = await targets.service.get('/api/v1/jobs?status=running&name=quiet');
      return body.items.some(({ job_id }: { job_id: string }) => job_id === job.job_id);
    });
    targets.open('quiet');
    await targets.service.ended(job.job_id);
  });

  it('is refused with a reason where the inventory has no such host', async () => {
    const answer = await targets.service.post('/api/v1/jobs', { ...targets.spec, command: 'true', hosts: 'nobody' });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([{ pointer: '/hosts', detail: expect.stringContaining('nobody') }]);
    const adopt = { host: 'all', ansible_job_id: 'j1.1' };
    const ofTwo = await targets.service.post('/api/v1/jobs', { adopt, inventory: 'hosts.json' });
    expect(ofTwo.body.errors).toEqual([
      { pointer: '/adopt/host', detail: expect.stringMatching(/^all is [0-9]+ hosts/) },
    ]);
  });

  it('goes on while its host can not be reached, and holds up no other host', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const job = await targets.submit({ command: targets.gated('away'), hosts: 'ssh-2,ssh-3', name: 'away' });
    await until('both to have begun', () => targets.lines('away').length === 2);
    await server.stop();
    targets.open('away');
    await until('the other one to have ended', async () => {
      const { hosts, status } = await targets.service.job(job.job_id);
      return status === 'running' && hosts['ssh-3'].status === 'successful' && /reached/.test(hosts['ssh-2'].message);
    });
    await server.start();
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'successful' });
    expect(targets.lines('away')).toEqual(['begin', 'begin', 'end', 'end']);
  });

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

  it('that is canceled does not wait for a host where it had ended by itself', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const command = `case $SSH_CONNECTION in *" 127.0.0.2 "*) ;; *) ${targets.gated('partly')};; esac`;
    const job = await targets.submit({ command, hosts: 'ssh-1,ssh-2', name: 'partly' });
    await until('its end on one', async () => {
      const { hosts } = await targets.service.job(job.job_id);
      return hosts['ssh-1']?.status === 'running' && hosts['ssh-2']?.status === 'successful';
    });
    await server.stop();
    await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`);
    expect(await targets.service.ended(job.job_id)).toMatchObject({
      status: 'canceled',
      hosts: { 'ssh-1': { status: 'canceled' }, 'ssh-2': { status: 'successful' } },
    });
    expect(targets.lines('partly')).toEqual(['begin']);
    await server.start();
  });

  it('starts on a host that comes later, and on the others at once', async () => {
    const server = targets.targets.serverOf('ssh-2');
    await server.stop();
    const job = await targets.submit({ command: targets.gated('later'), hosts: 'ssh-1,ssh-2', name: 'later' });
    const soonOver = { ...targets.spec, name: 'soon-over', command: 'true', hosts: 'ssh-1,ssh-2' };
    const ofOneStep = await targets.service.submit({ name: 'of-one-step', steps: [soonOver] });
    await until('one to have begun', () => targets.lines('later').length === 1);
    const shown = (ofFirst: string, done: number): object => ({
      status: 'running',
      started_at: expect.any(String) as string,
      hosts: { 'ssh-1': { status: ofFirst }, 'ssh-2': { status: 'pending' } },
      progress: {
        tasks_done: done,
        tasks_total: 2,
        message: expect.stringContaining("ssh-2 can't be reached") as string,
      },
    });
    const seen = () => expect.poll(() => targets.service.job(job.job_id), { timeout: 60_000 });
    await seen().toMatchObject(shown('running', 0));
    targets.open('later');
    await until('its end there', () => targets.lines('later').length === 2);
    await seen().toMatchObject(shown('successful', 1));
    await expect
      .poll(async () => (await targets.service.get('/api/v1/jobs?name=later')).body, { timeout: 60_000 })
      .toMatchObject({ items: [{ status: 'running' }] });
    await expect
      .poll(() => targets.service.job(ofOneStep.job_id), { timeout: 60_000 })
      .toMatchObject({ status: 'running', steps: [{ status: 'running' }] });
    await server.start();
    for (const { job_id } of [job, ofOneStep])
      expect(await targets.service.ended(job_id)).toMatchObject({ status: 'successful' });
    expect(targets.lines('later')).toEqual(['begin', 'end', 'begin', 'end']);
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
      /reached/.test((await targets.service.job(id)).hosts['ssh-2']?.message ?? '');
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

  it('is ended where it was abandoned while it goes on elsewhere, and where it was out of reach when it has ended', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const sleeps = (name: string) =>
      `case $SSH_CONNECTION in *" 127.0.0.2 "*) ${targets.sleeper(name)};; *) ${targets.gated(name)};; esac`;
    const submit = (name: string, more: object) =>
      targets.submit({ command: sleeps(name), hosts: 'ssh-1,ssh-2', name, ...more });
    const [short, long] = [await submit('short-patience', { unreachable_after: 3 }), await submit('long-patience', {})];
    const pids = [await targets.pidOf('short-patience'), await targets.pidOf('long-patience')];
    const onSecond = async (id: string) => (await targets.service.job(id)).hosts['ssh-2'];
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
  });

  it('that is canceled and abandoned is over where its host can be reached', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const command = `case $SSH_CONNECTION in *" 127.0.0.3 "*) ;; *) ${targets.gated('over')};; esac`;
    const job = await targets.submit({ command, hosts: 'ssh-1,ssh-2,ssh-3', name: 'over' });
    await until('two to have begun', () => targets.lines('over').length === 2);
    await until('one to have ended', async () => {
      const { hosts } = await targets.service.job(job.job_id);
      return hosts['ssh-3']?.status === 'successful';
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
    const isIts = (id: string) => readFileSync(path.join(tasks, id, 'plan.json'), 'utf8').includes('/hidden.pid');
    const [id] = readdirSync(tasks).filter((name) => /^[0-9a-f]{32}$/.test(name) && isIts(name));
    const claim = path.join(tasks, id!, 'claim.1');
    const truth = readFileSync(claim, 'utf8');
    // As after a restart of the container that is its host.
    const { supervisor, ansible } = JSON.parse(truth) as Record<string, { pid: number }>;
    for (const { pid } of [supervisor!, ansible!]) signal(pid, 'SIGKILL');
    writeFileSync(claim, truth.replaceAll(/pid:\[\d+\]/g, 'pid:[1]'));
    const said = async () => (await targets.service.job(job.job_id)).hosts['ssh-1'].message ?? '';
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

  it('goes on behind a connection that is frozen', async () => {
    const server = targets.targets.serverOf('ssh-3');
    const job = await targets.submit({ command: targets.gated('frozen'), hosts: 'ssh-3', name: 'frozen' });
    await until('it to have begun', () => targets.lines('frozen').length === 1);
    server.freeze();
    targets.open('frozen');
    await until('its end', () => targets.lines('frozen').length === 2);
    expect((await targets.service.job(job.job_id)).finished_at).toBeNull();
    server.thaw();
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'successful' });
  });
});

needsSshd('an adopted job', () => {
  describe.each(['ssh-1', 'here'])('on %s', (host) => {
    const test = host === 'ssh-1' ? it : also;
    it('shows how it stands and ends, and what it printed', async () => {
      const name = `adopted-${host}`;
      const adopted = targets.startElsewhere(host, targets.gated(name, 'echo out'));
      const job = await targets.adopt(host, adopted, { name });
      const running = await targets.service.reaches(job.job_id, 'running');
      expect(running).toMatchObject({
        kind: 'adopt',
        spec: { adopt: { ansible_job_id: adopted } },
        hosts: { [host]: { ansible_job_id: adopted } },
      });
      targets.open(name);
      const ended = await targets.service.ended(job.job_id);
      expect(ended).toMatchObject({
        status: 'successful',
        result: { rc: 0, stdout: 'out' },
        hosts: { [host]: { rc: 0 } },
      });
    });

    test('is left as it is by a cancel, and ended by one that is told to kill it', async () => {
      for (const kill of [false, true]) {
        const name = `left-${host}-${kill}`;
        const adopted = targets.startElsewhere(host, `echo begun; ${targets.sleeper(name)}`);
        const pid = await targets.pidOf(name);
        const job = await targets.adopt(host, adopted, { name });
        await targets.service.reaches(job.job_id, 'running');
        await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`, { kill });
        const result = { stdout: kill ? 'begun' : '' };
        expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled', result });
        expect(targets.isAlive(pid)).toBe(!kill);
      }
    });

    test('is left as it is when its workflow is terminated', async () => {
      const name = `cut-${host}`;
      const adopted = targets.startElsewhere(host, targets.sleeper(name));
      const pid = await targets.pidOf(name);
      const job = await targets.adopt(host, adopted, { name });
      await targets.service.reaches(job.job_id, 'running');
      const client = await targets.service.temporal();
      await client.workflow.getHandle(`default/adopt/${name}`).terminate('by an operator');
      expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
      expect(targets.isAlive(pid)).toBe(true);
    });

    test('whose file is not there is lost, and one whose processes are gone is orphaned', async () => {
      const none = await targets.adopt(host, 'j123456789012.1', { name: `none-${host}` });
      expect(await targets.service.ended(none.job_id)).toMatchObject({ failure: { kind: 'lost' } });
      const name = `orphan-${host}`;
      const adopted = targets.startElsewhere(host, targets.sleeper(name));
      await targets.pidOf(name);
      const job = await targets.adopt(host, adopted, { name });
      await targets.service.reaches(job.job_id, 'running');
      targets.killElsewhere(adopted);
      expect(await targets.service.ended(job.job_id)).toMatchObject({ failure: { kind: 'orphaned' } });
    });
  });
});
