import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { carrying, until } from '../service/processes.js';
import { needsSshd, Targets } from './sshd.js';

const run = promisify(execFile);

needsSshd('the hosts of these tests', () => {
  test('are reached by Ansible, carry its mark, and leave nothing running', async () => {
    const targets = await Targets.open({ hosts: 2, servers: 2 });
    const { mark } = targets;
    try {
      const shell = 'nohup sleep 600 >/dev/null 2>&1 </dev/null & env';
      const { stdout } = await run('ansible', ['all', '-i', targets.inventory, '-m', 'shell', '-a', shell], {
        env: targets.env,
      });
      expect(stdout.match(/rc=0/g)).toHaveLength(3);
      expect(stdout.split('\n').filter((line) => line === mark)).toHaveLength(3);
      await until('all of them', () => carrying(mark).filter(({ command }) => command === 'sleep 600').length === 3);
      await targets.serverOf('ssh-1').stop();
      const ping = () => run('ansible', ['ssh-1', '-i', targets.inventory, '-m', 'ping'], { env: targets.env });
      await expect(ping()).rejects.toThrow();
      await targets.serverOf('ssh-1').start();
      await ping();
    } finally {
      await targets[Symbol.asyncDispose]();
    }
    expect(carrying(mark)).toEqual([]);
  });
});
