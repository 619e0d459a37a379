import { expect, test } from 'vitest';
import { AttemptBench } from './bench.js';

test('a time limit of ten years does not end a playbook before it is done', async () => {
  await using bench = await AttemptBench.open({ playbook: 'ledger.yml', timeout: 10 * 365 * 24 * 3600 });
  expect(await bench.run(await bench.place())).toMatchObject({ status: 'successful', rc: 0 });
});
