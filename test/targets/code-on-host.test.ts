import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { AgentBench } from '../ansible/agent-bench.js';
import { isRoot } from './bench.js';
import { needsSshd, Targets } from './sshd.js';

needsSshd('code that is kept on a host', () => {
  let targets: Targets;
  let bench: AgentBench;
  let base: string;

  beforeAll(async () => {
    targets = await Targets.open();
    bench = await AgentBench.open({ env: targets.env });
    base = path.join(targets.dataOf('ssh-1'), 'tasks');
  });
  afterAll(async () => {
    await bench[Symbol.asyncDispose]();
    await targets[Symbol.asyncDispose]();
  });

  const prepare = async () => {
    const task = { module: 'longhaul_prepare', args: { jobs: [], base } };
    const [answer] = await bench.run([task], { inventory: targets.inventory, host: 'ssh-1' });
    return answer;
  };
  const kept = (): string[] => readdirSync(base).map((name) => path.join(base, name));

  /** Has the code say by its answer that it was asked. */
  const plant = (file: string): void => {
    const verbs = 'VERBS = {"longhaul_prepare": lambda **args: {"jobs": [], "planted": True}}';
    const folder = path.join(targets.folder, 'planted');
    const write = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as archive:
    for name, text in (("__init__", ""), ("target/__init__", ""), ("target/verbs", sys.argv[2])):
        archive.writestr("longhaul_attempt/%s.py" % name, text)`;
    execFileSync(loadConfig({}).python, ['-c', write, file, verbs], { cwd: path.dirname(folder) });
    chmodSync(file, 0o600);
  };

  test('is brought once, and answers from then on', async () => {
    // The folder of the attempts is made by the first call, which is a module of Ansible's.
    expect(await prepare()).toMatchObject({ status: 'ok', result: { jobs: [] } });
    expect(kept()).toEqual([]);
    expect(await prepare()).toMatchObject({ status: 'ok', result: { jobs: [] } });
    const [code = ''] = kept();
    expect(path.basename(code)).toMatch(/^\.code\.[0-9a-f]{32}\.cpython-3\d+$/);
    plant(code);
    expect(await prepare()).toMatchObject({ status: 'ok', result: { planted: true } });
    expect(kept()).toEqual([code]);
  });

  test('is not asked if others may have written it: the answer is that of the module', async () => {
    const [code = ''] = kept();
    chmodSync(code, 0o666);
    const answer = await prepare();
    expect(answer).toMatchObject({ status: 'ok', result: { jobs: [] } });
    expect(answer?.result).not.toHaveProperty('planted');
  });

  test('is neither asked nor brought if its folder is somebody else’s, or others may write there', async () => {
    const [code = ''] = kept();
    plant(code);
    for (const [mine, others] of [
      [`chmod 0700 ${base}`, `chmod 0777 ${base}`],
      ...(isRoot ? [[`chown 0 ${base}`, `chown 65534 ${base}`]] : []),
    ] as const) {
      execFileSync('sh', ['-c', others]);
      const answer = await prepare();
      expect(answer).toMatchObject({ status: 'ok', result: { jobs: [] } });
      expect(answer?.result).not.toHaveProperty('planted');
      renameSync(code, `${code}.aside`);
      await prepare();
      expect(kept()).toEqual([`${code}.aside`]);
      renameSync(`${code}.aside`, code);
      execFileSync('sh', ['-c', mine]);
      expect(await prepare()).toMatchObject({ result: { planted: true } });
    }
    rmSync(code);
    await prepare();
  });

  test('is brought again if it has come to harm or is gone', async () => {
    const [code = ''] = kept();
    rmSync(code);
    writeFileSync(code, 'no archive', { mode: 0o600 });
    expect(await prepare()).toMatchObject({ status: 'ok', result: { jobs: [] } });
    expect(statSync(code).size).toBeGreaterThan(10_000);
    rmSync(code);
    await prepare();
    expect(statSync(code).size).toBeGreaterThan(10_000);
  });
});
