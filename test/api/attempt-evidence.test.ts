import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Slots } from '../../src/node/slots.js';
import { AttemptStore } from '../../src/store/attempts.js';
import { TargetLedger } from '../../src/targets/ledger.js';
import { RunFolders } from '../../src/store/run-folders.js';
import { temporaryFolder } from './unreachable.js';

const job = { tenant: 'default', playbookName: 'site', name: 'x' };
const key = { ...job, runId: 'run-1', attempt: 1 };
const outcome = {
  status: 'successful',
  rc: 0,
  stats: {},
  started_at: null,
  finished_at: '2026-01-01T00:00:00.000Z',
  leftovers: [],
};

const holder = { node: 'here', workflow_id: 'default/site/x', run_id: 'run-1', attempt: 1 };

/** An attempt's folder with these files, and its slot; without files neither. */
async function storeWith(files: Record<string, unknown> | undefined) {
  const root = await temporaryFolder();
  const runs = path.join(root, 'runs');
  const slots = new Slots(path.join(root, 'slots'), 2);
  await mkdir(path.join(root, 'slots'));
  const folder = path.join(runs, 'default', 'site', 'x', 'run-1', '1');
  if (files !== undefined) await mkdir(folder, { recursive: true });
  for (const [name, record] of Object.entries(files ?? {}))
    await writeFile(path.join(folder, name), JSON.stringify(record));
  if (files !== undefined) await slots.take(holder);
  return { store: new AttemptStore(runs, slots, new TargetLedger(path.join(root, 'targets')), 'here'), slots, runs };
}

describe("an attempt's evidence", () => {
  it('says when it started, and how it ended', async () => {
    const { store } = await storeWith({ started: { at: 1_700_000_000.5, monotonic_ns: 1 }, 'outcome.json': outcome });
    expect(await store.evidence(key, 'here')).toEqual({ startedAt: '2023-11-14T22:13:20.500Z', outcome, over: false });
  });

  it('says that it never starts, once its last claim is void', async () => {
    const claim = {
      void: false,
      supervisor: { pid: 1, start: 1, boot: 'b', pidns: 'n' },
      ansible: { pid: 2, start: 1, boot: 'b', pidns: 'n' },
    };
    const voided = { void: true, cause: 'cancel', reason: '' };
    expect((await (await storeWith({ 'claim.1': claim })).store.evidence(key, 'here'))?.over).toBe(false);
    expect((await (await storeWith({ 'claim.1': claim, 'claim.2': voided })).store.evidence(key, 'here'))?.over).toBe(
      true,
    );
    expect((await (await storeWith({ 'claim.9': voided, 'claim.10': claim })).store.evidence(key, 'here'))?.over).toBe(
      false,
    );
  });

  it('is unknown where the folder is on another machine', async () => {
    const { store } = await storeWith(undefined);
    expect(await store.evidence(key, 'elsewhere')).toBeNull();
    expect(await store.output(key)).toBeUndefined();
  });

  it('without a folder here is over when its slot is free', async () => {
    const { store, slots } = await storeWith(undefined);
    await slots.take(holder);
    expect((await store.evidence(key, 'here'))?.over).toBe(false);
    await slots.release(holder);
    expect((await store.evidence(key, 'here'))?.over).toBe(true);
  });

  it('is over when its slot is free, though a full disk took no outcome', async () => {
    const { store, slots } = await storeWith({ started: { at: 1_700_000_000.5, monotonic_ns: 1 } });
    await slots.release(holder);
    expect(await store.evidence(key, 'here')).toMatchObject({ outcome: null, over: true });
  });

  it('does not trust half-written records', async () => {
    const { store, runs } = await storeWith({});
    await writeFile(path.join(runs, 'default', 'site', 'x', 'run-1', '1', 'outcome.json'), '{"status": "succ');
    expect(await store.evidence(key, 'here')).toEqual({ startedAt: null, outcome: null, over: false });
  });

  it('is removed with its run, and nothing of another run with it', async () => {
    const { store, runs } = await storeWith({ 'outcome.json': outcome });
    await mkdir(path.join(runs, 'default', 'site', 'x', 'run-2', '1'), { recursive: true });
    const folders = new RunFolders(runs);
    await folders.remove(job, 'run-1');
    await folders.remove(job, 'run-1');
    expect(await store.output(key)).toBeUndefined();
    expect(await store.output({ ...key, runId: 'run-2' })).toBeDefined();
  });
});
