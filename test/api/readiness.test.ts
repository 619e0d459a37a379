import { createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { until } from '../service/processes.js';
import { unreachableApi } from './unreachable.js';

/** A Temporal that answers every call with "permission denied"; its address. */
async function refusingTemporal(): Promise<string> {
  const server = createServer();
  server.on('stream', (stream) => {
    const headers = {
      ':status': 200,
      'content-type': 'application/grpc',
      'grpc-status': '7',
      'grpc-message': 'no entry',
    };
    stream.respond(headers, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it('of a Temporal that refuses to answer /readyz says so, and /healthz goes on answering', async () => {
  const { request } = await unreachableApi({ temporalAddress: await refusingTemporal() });
  expect((await request('/healthz')).status).toBe(200);
  await until('the refusal', async () => {
    const ready = await request('/readyz');
    expect(ready.status).toBe(503);
    const { checks }: any = await ready.json();
    return checks.temporal.includes('no entry');
  });
  expect((await request('/healthz')).status).toBe(200);
});
