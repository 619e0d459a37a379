import { describe, expect, it } from 'vitest';
import { port, problemOf, unreachableApi } from './unreachable.js';

describe('a page of another origin', () => {
  it.each([
    'evil.example',
    `evil.example:${port}`,
    'localhost',
    `localhost:${port + 1}`,
    `127.0.0.1.evil.example:${port}`,
    '',
  ])('that had its name turned to our address gets nothing: Host %j', async (host) => {
    const { request } = await unreachableApi();
    for (const path of ['/', '/healthz', '/api/v1/playbooks', '/nowhere']) {
      expect((await problemOf(await request(path, { headers: { host } }))).status).toBe(421);
    }
  });

  it.each([
    'http://evil.example',
    'null',
    `https://localhost:${port}`,
    `http://localhost:${port + 1}`,
    `http://localhost:${port}.evil.example`,
  ])('can not use the service: Origin %s', async (origin) => {
    const { request } = await unreachableApi();
    for (const method of ['GET', 'POST', 'DELETE']) {
      const response = await request('/api/v1/jobs/a:b', { method, headers: { origin } });
      expect((await problemOf(response)).status).toBe(403);
    }
  });

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', undefined])(
    'can not send what a form or a simple request sends: %s',
    async (type) => {
      const { request } = await unreachableApi();
      for (const path of ['/api/v1/jobs', '/api/v1/jobs/a:b/cancel']) {
        const body = new TextEncoder().encode('{"playbook":"hello.yml"}');
        const response = await request(path, {
          method: 'POST',
          body,
          headers: type === undefined ? {} : { 'content-type': type },
        });
        expect((await problemOf(response)).status).toBe(415);
      }
    },
  );
});

describe('our own pages and clients', () => {
  it.each(['localhost', '127.0.0.1', '127.1.2.3', '[::1]', 'LOCALHOST'])('are served: %s', async (name) => {
    const { request } = await unreachableApi();
    const host = `${name}:${port}`;
    expect((await request('/healthz', { headers: { host } })).status).toBe(200);
    expect((await request('/healthz', { headers: { host, origin: `http://${host}` } })).status).toBe(200);
  });
});
