import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { JobSpec } from '../../src/job/spec.js';
import { AttemptBench } from './bench.js';

/** Made when a template is evaluated. */
const evidence = path.join(os.tmpdir(), `longhaul-evaluated-${process.pid}`);
const template = `{{ lookup('pipe', 'touch ${evidence}') }}`;
const words = {
  template,
  statement: '{% for i in [1] %}x{% endfor %}',
  comment: '{# gone? #}',
  digits: '123',
  octal: '0o17',
  yes: 'yes',
  no: 'No',
  nothing: '~',
  null: 'null',
  exponent: '1e3',
  date: '2026-11-22',
  sexagesimal: '12:30:45',
  lines: 'first\nsecond\n\n  third: "x"\n',
  crlf: 'a\r\nb',
  tab: '\tx',
  unicode: 'Grüße, 世界 😀 \u0085\u2028\ufeff\u0000\u0007\u007f',
  quotes: `'"\\'`,
  tag: '!unsafe x',
  anchor: '&a *a',
  empty: '',
  spaces: '  ',
};

describe('what a caller sends is data', () => {
  test('words arrive unchanged, whatever YAML or Jinja would make of them', async () => {
    expect((await arrived(words)).given).toEqual(words);
  });

  test('numbers, booleans, null, lists and mappings arrive unchanged', async () => {
    const values = {
      numbers: [0, -1, 1.5, 1e21, -1e21, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53, 123456789012345],
      flags: [true, false, null],
      nested: { a: [{ b: [[], {}] }], '1': 'one', yes: 'key', [template]: 'a key too', 'a: b': 1, '': 'empty' },
    };
    expect((await arrived(values)).given).toEqual(values);
  });

  test('a lone surrogate arrives as the replacement character', async () => {
    expect((await arrived(['\ud800', 'x\udc00y', '😀'])).given).toEqual(['\ufffd', 'x\ufffdy', '😀']);
  });

  test('templates in an inventory are not evaluated', async () => {
    const inventory = { all: { hosts: { localhost: { ansible_connection: 'local', of_host: template } } } };
    expect(await arrived('x', { inventory })).toMatchObject({ host: 'localhost', of_host: template });
    expect(existsSync(evidence)).toBe(false);
  });

  test('templates in limit and tags are refused; past the schema they are only text', async () => {
    expect(JobSpec.safeParse({ playbook: 'x.yml', limit: template }).success).toBe(false);
    expect(JobSpec.safeParse({ playbook: 'x.yml', tags: [template] }).success).toBe(false);
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    Object.assign(bench.job.request.input.spec, { tags: [template], skip_tags: [template], limit: 'localhost' });
    expect(await bench.run(await bench.place())).toMatchObject({ status: 'successful', stats: {} });
    expect(await bench.ledger()).toEqual([]);
    expect(existsSync(evidence)).toBe(false);
  });

  test('values that look like options stay values', async () => {
    await using bench = await AttemptBench.open({ playbook: 'ledger.yml' });
    Object.assign(bench.job.request.input.spec, { limit: '--version' });
    const outcome = await bench.run(await bench.place());
    expect(outcome).toMatchObject({ status: 'failed', failure: { kind: 'exit' } });
    expect(await bench.stdout()).not.toContain('python version');
  });
});

/** Runs variables.yml and returns what the playbook wrote. */
async function arrived(
  given: unknown,
  spec: Partial<JobSpec> = {},
): Promise<{ given: unknown; host: string; of_host: unknown }> {
  await using bench = await AttemptBench.open({ playbook: 'variables.yml' });
  const into = path.join(bench.job.dataDir, 'arrived.json');
  Object.assign(bench.job.request.input.spec, spec, { extra_vars: { given, into } });
  const outcome = await bench.run(await bench.place());
  if (outcome.status !== 'successful') throw new Error(`${JSON.stringify(outcome)}\n${await bench.stdout()}`);
  expect(existsSync(evidence)).toBe(false);
  return JSON.parse(readFileSync(into, 'utf8')) as { given: unknown; host: string; of_host: unknown };
}
