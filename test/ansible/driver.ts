import { setTimeout as delay } from 'node:timers/promises';
import { keyOf } from '../../src/activities/context.js';
import { run } from '../../src/activities/run.js';
import { refuseLeft } from '../../src/ansible/watch.js';
import { openBench, placed, type Job } from './bench.js';

/**
 * driver.ts run|cancel|look JOB: what a worker does for one attempt, in a process that can be killed and started again with
 * the same arguments. An error is repeated as Temporal repeats an activity. `run` prints the outcome as JSON.
 */
const tries = 50;
const [mode, text = ''] = process.argv.slice(2);
const job = JSON.parse(text) as Job;
const bench = await openBench(job);

async function once(): Promise<unknown> {
  if (mode === 'cancel') return refuseLeft(await bench.attempts.end(keyOf(job.request), 'cancel', 'asked to'));
  if (mode === 'look') return await bench.attempts.look(keyOf(job.request));
  const ref = await placed(bench, job);
  return await run(bench.context, ref, { tell: () => undefined, signal: new AbortController().signal });
}

for (let left = tries; ; left--) {
  try {
    process.stdout.write(`${JSON.stringify((await once()) ?? null)}\n`);
    break;
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    if (left === 0) throw error;
    await delay(100);
  }
}
bench.slots.close();
