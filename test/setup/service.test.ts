import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { signal } from '../service/processes.js';
import { temporaryFolder } from './checkout.js';
import { eventually, listenSomewhere, processesOn, startService, type RunningService } from './running-service.js';

describe('a start that can not work says why, and leaves nothing running', () => {
  test('a port that is taken, by whom, and the variable to change', async () => {
    const port = await listenSomewhere();
    const service = await startService({ PORT: `${port}` });
    expect(await service.ended).toBe(1);
    expect(service.output).toContain(`Port ${port} is taken by pid ${process.pid}`);
    expect(service.output).toContain('set PORT');
    await endOfAll(service);
  });

  test('too little room for the data folder, with the numbers', async () => {
    const service = await startService({ MIN_FREE_MB: '1000000000' });
    expect(await service.ended).toBe(1);
    expect(service.output).toMatch(/has \d+ MB free.*1000000000 MB.*MIN_FREE_MB/);
  });

  test('a data folder that can not be made', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    const service = await startService({ DATA_DIR: join(file, 'data') });
    expect(await service.ended).toBe(1);
    expect(service.output).toContain('set DATA_DIR');
  });

  test('a value that is not allowed', async () => {
    const service = await startService({ HOST: 'here and there', KILL_GRACE: 'long' });
    expect(await service.ended).toBe(1);
    expect(service.output).toContain("HOST=here and there can't be used");
    expect(service.output).toContain("KILL_GRACE=long can't be used. Allowed: seconds");
  });

  test.each([
    ['other machines, and no token', { HOST: '0.0.0.0' }, undefined, /^HOST=0\.0\.0\.0 .*npm run token -- create/m],
    ['other machines, and an empty list', { HOST: '::' }, '{"version":1,"tokens":[]}', /^HOST=:: .* has none/m],
    ['a tokens file that is named and not there', { TOKENS_FILE: '/nowhere/tokens.json' }, undefined, /^TOKENS_FILE=/m],
    ['a tokens file that can not be read', {}, '{"version":1,', /tokens\.json can't be used: it is not JSON/],
  ])('callers that can not be known: %s', async (_, env, content, message) => {
    const dataDir = join(temporaryFolder(), 'data');
    if (content !== undefined) {
      mkdirSync(dataDir);
      writeFileSync(join(dataDir, 'tokens.json'), content);
    }
    const api = [process.execPath, 'dist/src/api/server.js'];
    for (const command of [undefined, api]) {
      const service = await startService({ DATA_DIR: dataDir, ...env }, command);
      expect(await service.ended).toBe(78);
      expect(service.output).toMatch(message);
      expect(processesOn(dataDir)).toEqual([]);
    }
    // Nothing was begun, not even the data folder.
    expect(existsSync(dataDir) ? readdirSync(dataDir) : []).toEqual(content === undefined ? [] : ['tokens.json']);
  });

  test.each([
    ['with the end of its log', 'echo "no such table: namespaces"', /ends:\nno such table: namespaces\n/],
    ['also if its log is empty', ':', /It left nothing in its log, .*temporal\.log\n/],
  ])('a child that dies five times, %s', async (_, says, message) => {
    const cli = join(temporaryFolder(), 'temporal');
    writeFileSync(cli, `#!/bin/sh\n${says}\nexit 3\n`);
    chmodSync(cli, 0o755);
    const service = await startService({ TEMPORAL_CLI: cli });
    expect(await service.ended).toBe(1);
    expect(service.output).toContain('Temporal ended with exit code 3, for the 5th time within a minute');
    expect(service.output).toContain(join(service.dataDir, 'logs', 'temporal.log'));
    expect(service.output).toMatch(message);
    await endOfAll(service);
  });
});

describe('a running service', () => {
  test('says where it is, refuses a second one on its data folder, and ends at Ctrl-C with what still runs', async () => {
    const service = await startService();
    await service.says('Longhaul is ready');
    await service.says(service.dataDir);
    expect(service.children()).toHaveLength(3);

    const before = readdirSync(service.dataDir);
    const second = await startService({ DATA_DIR: service.dataDir });
    expect(await second.ended).toBe(1);
    expect(second.output).toContain(`in use by pid ${service.process.pid}`);
    expect(readdirSync(service.dataDir)).toEqual(before);
    expect(service.children()).toHaveLength(3);

    // As a terminal does: to the whole group at once, and again while it is ending.
    process.kill(-service.process.pid!, 'SIGINT');
    await service.says('Ending');
    signal(-service.process.pid!, 'SIGINT');
    expect(await service.ended).toBe(0);
    expect(service.output).toContain('No playbook is running');
    await endOfAll(service);
  });

  test('starts a child again that is killed', async () => {
    const service = await startService();
    await service.says('Longhaul is ready');
    for (const { pid } of service.children()) {
      process.kill(pid, 'SIGKILL');
      await eventually(
        () => service.children().length === 3 && service.children().every((child) => child.pid !== pid),
        'three run again',
      );
    }
    process.kill(service.process.pid!, 'SIGTERM');
    expect(await service.ended).toBe(0);
    await endOfAll(service);
  });

  test('whose parent is killed leaves nothing running, and starts again at once', async () => {
    const service = await startService();
    await service.says('Longhaul is ready');
    process.kill(service.process.pid!, 'SIGKILL');
    const next = await startService({ DATA_DIR: service.dataDir });
    await next.says('Longhaul is ready');
    expect(next.children()).toHaveLength(3);
    process.kill(next.process.pid!, 'SIGTERM');
    expect(await next.ended).toBe(0);
    await endOfAll(service);
  });

  test('whose npm is killed ends as at Ctrl-C, and says that playbooks go on', async () => {
    const dataDir = join(temporaryFolder(), 'data');
    const slots = join(dataDir, 'slots');
    mkdirSync(slots, { recursive: true });
    // Of a kind that sweeps leave alone.
    const holder = { node: 'here', workflow_id: 'default/test/job', run_id: 'job', attempt: 1, foreground: true };
    writeFileSync(join(slots, '1'), JSON.stringify(holder));
    const service = await startService({ DATA_DIR: dataDir, NODE_ID: 'here' }, ['npm', 'start']);
    await service.says('Longhaul is ready');
    process.kill(service.process.pid!, 'SIGKILL');
    await service.says('One playbook goes on running');
    await nothingRunsOn(dataDir);
    expect(existsSync(join(slots, '1'))).toBe(true);
  });
});

/** Its parts have ended before it; what holds its data folder ends by the end of what it reads, a moment after. */
function endOfAll(service: RunningService): Promise<void> {
  expect(service.children()).toEqual([]);
  return nothingRunsOn(service.dataDir);
}

function nothingRunsOn(dataDir: string): Promise<void> {
  return eventually(() => processesOn(dataDir).length === 0, 'nothing runs on the data folder');
}
