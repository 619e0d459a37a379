import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/config.js';
import { quietRuntime } from './quiet-runtime.js';
import { recordedHistories } from './recorded.js';

quietRuntime();
const folder = path.join(packageRoot(), 'test', 'workflows', 'histories');
const bundle = { code: readFileSync(path.join(packageRoot(), 'dist', 'workflow-bundle.js'), 'utf8') };
const read = (name: string): unknown => JSON.parse(readFileSync(path.join(folder, name), 'utf8'));

it('there is a history of every way in which a run ends', () => {
  expect(readdirSync(folder).sort()).toEqual(recordedHistories.map((name) => `${name}.json`).sort());
});

it.each(readdirSync(folder))('a worker of today continues the run of %s, begun by an earlier one', async (name) => {
  await Worker.runReplayHistory({ workflowBundle: bundle }, read(name), 'default/gate/recorded');
});

it("a history that today's workflows would not write is refused", async () => {
  const history = read('success.json') as {
    events: { activityTaskScheduledEventAttributes?: { activityType: { name: string } } }[];
  };
  const scheduled = history.events.find((event) => event.activityTaskScheduledEventAttributes);
  scheduled!.activityTaskScheduledEventAttributes!.activityType.name = 'somethingElse';
  await expect(Worker.runReplayHistory({ workflowBundle: bundle }, history, 'default/gate/recorded')).rejects.toThrow();
});
