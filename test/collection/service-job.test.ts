import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config.js';
import { Proxy, type Said } from './proxy.js';

const run = promisify(execFile);
const { root, python } = loadConfig({});
const type = 'application/json';
const running: Said = { status: 200, type, body: '{"run_id": "1", "status": "running"}' };
const elsewhere: Said = { status: 404, type, body: '{"detail": "Not Found"}' };

test.each<[string, Said]>([
  ['a redirect', { status: 301 }],
  ['a redirect with a document', { status: 301, type, body: '{}' }],
  ['a page to log in', { status: 200, type: 'text/html', body: '<html></html>' }],
  ['another service', elsewhere],
])('%s is no service without such a job', async (_what, said) => {
  await using other = await Proxy.answering(said);
  expect(await ask(other, 'find', 'remove', 'submit')).toMatch(/^find: .*\nremove: .*\nsubmit: .*\n$/);
});

test('a job is removed when the service says so, and nobody else', async () => {
  await using other = await Proxy.answering((method) => (method === 'GET' ? running : elsewhere));
  expect(await ask(other, 'remove', 'kill')).toMatch(/^remove: .*\nkill: .*\n$/);
});

async function ask({ endpoint }: Proxy, ...names: string[]): Promise<string> {
  const script = path.join(import.meta.dirname, 'asked.py');
  const env = { PATH: process.env.PATH, PYTHONPATH: root, PYTHONDONTWRITEBYTECODE: '1' };
  return (await run(python, [script, endpoint, ...names], { env })).stdout;
}
