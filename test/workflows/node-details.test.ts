import { expect, it } from 'vitest';
import { nodeDetailsOf } from '../../src/workflows/node-details.js';

const by = {
  node: 'n1',
  binding: 'b',
  incarnation: 'n1/7',
  host: 'build7',
  data_dir: '/srv/longhaul/data',
  slots: 5,
  timeout_ms: 60_000,
  lost_after_ms: 600_000,
};
const since = '2026-01-01T00:01:00Z';

it('a node that is live shows where it is served, and where its slots are to be seen', () => {
  const shown = nodeDetailsOf(by, { is: 'live', since: '2026-01-01T00:01:00.123Z' });
  expect(shown).toContain(`**Live: served by build7 since ${since}**`);
  expect(shown).toContain('`/srv/longhaul/data`');
  expect(shown).toMatch(/Slots: 5; .*Pending Activities/);
});

it('one that is away shows since when, what ran there, and what to do', () => {
  const attempts = Array.from({ length: 25 }, (_, at) => ({ workflow_id: `t/p/${at}`, run_id: 'r', attempt: 1 }));
  const last = { at: since, slots: 30, taken: 25, attempts };
  const shown = nodeDetailsOf(by, { is: 'away', since, last, jobsGivenUp: false });
  expect(shown).toContain(`**Away: nothing was heard of it since ${since}**`);
  expect(shown).toMatch(/25 of 30 taken: `t\/p\/0`.*, 5 more/);
  expect(shown).toMatch(/start Longhaul there again/);
  expect(shown).toContain('abandon');
  expect(shown).toContain('are given up when it has been away for 600 s more');
  expect(nodeDetailsOf(by, { is: 'away', since, last: undefined, jobsGivenUp: true })).toContain('were given up');
});
