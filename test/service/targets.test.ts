import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needsSshd } from '../targets/sshd.js';
import { also } from './chaos.js';
import { carrying, signal, until, whileFrozen } from './processes.js';
import { TargetService } from './target-service.js';

let targets: TargetService;
beforeAll(async () => {
  // What is told to end has time to write what it said, on a busy machine, too.
  targets = await TargetService.start({ hosts: 3, servers: 3 }, { KILL_GRACE: '5' });
});
afterAll(() => targets.destroy());

needsSshd('a task', () => {
  describe.each(['ssh', 'local'] as const)('over a %s connection', (connection) => {
    const test = connection === 'ssh' ? it : also;
    const host = connection === 'ssh' ? 'ssh-1' : 'here';
    const idFile = (name: string): string => path.join(targets.targets.folder, `${name}.id`);
    const recordsOf = (name: string): string =>
      path.join(targets.targets.folder, 'tasks', readFileSync(idFile(name), 'utf8').trim());
    const recordOf = (name: string, record: string) =>
      JSON.parse(readFileSync(path.join(recordsOf(name), record), 'utf8')) as Record<string, any>;
    /** With a process that leaves its session and ignores signals. */
    const stubborn = (name: string): string =>
      `echo $LONGHAUL_TASK > ${idFile(name)}; setsid sh -c 'trap "" TERM; ${targets.sleeper(name)}' & wait`;

    it('runs a command once, shows how it stands, and keeps what it printed', async () => {
      const name = `first-${connection}`;
      const job = await targets.submit({ command: targets.gated(name, 'echo out; echo err >&2'), hosts: host, name });
      const running = await targets.runsOn(job.job_id, host);
      expect(running).toMatchObject({
        status: 'running',
        kind: 'task',
        node: connection === 'ssh' ? null : expect.any(String),
      });
      expect(running.hosts[host].ansible_job_id).toMatch(/^j\d+\.\d+$/);
      await until('live output', async () => (await targets.service.job(job.job_id)).recent_logs?.includes('out'));
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

    test('of which all is killed, with what watched it there, is orphaned, also if others end meanwhile', async () => {
      const names = Array.from({ length: 8 }, (_, index) => `orphan-${connection}-${index}`);
      const jobs = await Promise.all(
        names.map((name) => targets.submit({ command: stubborn(name), hosts: host, name })),
      );
      for (const [index, { job_id }] of jobs.entries()) {
        await targets.pidOf(names[index]!);
        await targets.runsOn(job_id as string, host);
      }
      for (const name of names) {
        const own = carrying(`LONGHAUL_TASK=${path.basename(recordsOf(name))}`);
        for (const kill of ['SIGSTOP', 'SIGKILL'] as const) for (const { pid } of own) signal(pid, kill);
        await delay(200);
      }
      const ended = await Promise.all(jobs.map(({ job_id }) => targets.service.ended(job_id as string)));
      expect(ended.map(({ failure }) => failure?.kind)).toEqual(names.map(() => 'orphaned'));
      for (const name of names) expect(recordOf(name, 'result.json')).toMatchObject({ verdict: 'orphaned' });
    });

    test('that is canceled when nothing watches it there any more is canceled, not orphaned', async () => {
      const name = `unwatched-${connection}`;
      const job = await targets.submit({ command: stubborn(name), hosts: host, name });
      const pid = await targets.pidOf(name);
      await targets.runsOn(job.job_id, host);
      const { supervisor, ansible } = recordOf(name, 'claim.1');
      for (const watching of [ansible, supervisor]) signal(watching.pid as number, 'SIGKILL');
      await until('that to be seen', async () =>
        /both that watched it are gone/.test((await targets.service.job(job.job_id)).hosts[host].message ?? ''),
      );
      await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`, {});
      expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
      expect(targets.isAlive(pid)).toBe(false);
    });

    test('that takes longer than its timeout leaves nothing, also if its supervisor is killed while it ends the rest', async () => {
      const name = `late-unwatched-${connection}`;
      const job = await targets.submit({ command: stubborn(name), hosts: host, name, timeout: 3 });
      const pid = await targets.pidOf(name);
      await until('the end of its command', () => existsSync(path.join(recordsOf(name), 'result.json')));
      signal(recordOf(name, 'claim.1').supervisor.pid as number, 'SIGKILL');
      expect(targets.isAlive(pid)).toBe(true);
      expect(await targets.service.ended(job.job_id)).toMatchObject({ failure: { kind: 'timed_out' } });
      expect(targets.isAlive(pid)).toBe(false);
    });

    test('that is canceled leaves nothing alive, nor what left its session and ignores signals', async () => {
      const name = `canceled-${connection}`;
      const job = await targets.submit({ command: stubborn(name), hosts: host, name });
      const pid = await targets.pidOf(name);
      await whileFrozen(targets.service.processesOf('worker'), async () => {
        const answer = await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`, { reason: 'enough' });
        expect(answer.body.status).toBe('canceling');
      });
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

    test('says what it left running', async () => {
      const name = `daemon-${connection}`;
      const isThere = `until [ -s ${path.join(targets.targets.folder, name)}.pid ]; do sleep 0.1; done`;
      const command = `setsid ${targets.sleeper(name)} >/dev/null 2>&1 & ${isThere}`;
      const { job_id } = await targets.submit({ command, hosts: host, name });
      const { hosts, status } = await targets.service.ended(job_id);
      const pid = await targets.pidOf(name);
      expect(status).toBe('successful');
      expect(hosts[host].leftovers).toContainEqual({ pid, command: expect.any(String) as string });
      expect(targets.isAlive(pid)).toBe(true);
      signal(pid, 'SIGKILL');
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

  it('on this machine runs as whom the variables of its host say', async () => {
    const { folder } = targets.service;
    const become = path.join(folder, 'become');
    const words = '#!/bin/sh\nwhile [ "$1" != /bin/sh ]; do shift; done\nexport BECAME=another\nexec "$@"\n';
    writeFileSync(become, words, { mode: 0o755 });
    // Ansible becomes nobody who it is already.
    const ansible_become_user = process.getuid?.() === 0 ? 'nobody' : 'root';
    const mine = { ansible_connection: 'local', ansible_become: true, ansible_become_exe: become, ansible_become_user };
    const inventory = {
      all: { vars: { ansible_python_interpreter: '{{ ansible_playbook_python }}' }, hosts: { mine } },
    };
    writeFileSync(path.join(folder, 'inventories', 'mine.json'), JSON.stringify(inventory));
    const spec = { command: 'echo "I am $BECAME"', hosts: 'mine', inventory: 'mine.json' };
    const job = await targets.submit(spec);
    expect(await targets.service.ended(job.job_id)).toMatchObject({ result: { stdout: 'I am another\n' } });
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
      return body.items?.some(({ job_id }: { job_id: string }) => job_id === job.job_id) === true;
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
      return status === 'running' && hosts['ssh-3']?.status === 'successful' && /reached/.test(hosts['ssh-2']?.message);
    });
    await server.start();
    expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'successful' });
    expect(targets.lines('away')).toEqual(['begin', 'begin', 'end', 'end']);
  });

  it('that is canceled does not wait for a host where it had ended by itself', async () => {
    const server = targets.targets.serverOf('ssh-2');
    const command = `case $SSH_CONNECTION in *" 127.0.0.2 "*) ;; *) ${targets.gated('partly')};; esac`;
    const job = await targets.submit({ command, hosts: 'ssh-1,ssh-2', name: 'partly' });
    await until('its end on one', async () => {
      const { hosts } = await targets.service.job(job.job_id);
      return hosts?.['ssh-1']?.status === 'running' && hosts['ssh-2']?.status === 'successful';
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
      const running = await targets.runsOn(job.job_id, host);
      expect(running).toMatchObject({
        status: 'running',
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

    test('is ended by a cancel that is told to kill it after one that was not, if no worker has seen that', async () => {
      const name = `second-thoughts-${host}`;
      const adopted = targets.startElsewhere(host, targets.sleeper(name));
      const pid = await targets.pidOf(name);
      const job = await targets.adopt(host, adopted, { name });
      await targets.service.reaches(job.job_id, 'running');
      const workers = targets.service.processesOf('worker');
      for (const worker of workers) signal(worker.pid, 'SIGSTOP');
      for (const kill of [false, true]) await targets.service.post(`/api/v1/jobs/${job.job_id}/cancel`, { kill });
      for (const worker of workers) signal(worker.pid, 'SIGCONT');
      expect(await targets.service.ended(job.job_id)).toMatchObject({ status: 'canceled' });
      expect(targets.isAlive(pid)).toBe(false);
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
