import { pino } from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { startInForeground } from '../../src/api/jobs/fallback.js';
import { Outage } from '../../src/api/temporal/outage.js';
import type { ApiContext } from '../../src/api/context.js';
import { JobSpec } from '../../src/job/spec.js';

it('a submission that waits whether Temporal is away is answered when the service ends: nothing was started', async () => {
  const outage = new Outage('127.0.0.1:1');
  onTestFinished(() => outage.stop());
  const ending = new AbortController();
  const foreground = { accept: () => Promise.reject(new Error('must not be asked')) };
  const context = {
    fallback: { outage, afterMs: 3_600_000 },
    foreground: foreground as unknown as ApiContext['foreground'],
    log: pino({ level: 'silent' }),
    ending: ending.signal,
  };
  const job = { tenant: 'default', playbookName: 'hello', name: 'x' };
  const spec = JobSpec.parse({ playbook: 'hello.yml' });
  const answer = startInForeground(context, job, spec, false, new AbortController().signal);
  setTimeout(() => ending.abort(), 50);
  await expect(answer).rejects.toMatchObject({
    type: 'temporal-unavailable',
    detail: expect.stringContaining('Nothing was started'),
  });
});
