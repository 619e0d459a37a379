import { describe, expect, it } from 'vitest';
import { problemOf, unreachableApi } from './unreachable.js';

describe('an error answer', () => {
  it('tells that there is nothing at a path', async () => {
    const { request } = await unreachableApi();
    for (const path of ['/nope', '/api/v1', '/docs/__proto__', '/docs/..%2fpackage.json']) {
      expect(await problemOf(await request(path))).toMatchObject({ status: 404, type: '/problems/route-not-found' });
    }
  });

  it('tells which methods a path has', async () => {
    const { request } = await unreachableApi();
    const response = await request('/api/v1/jobs/a:b', { method: 'PUT' });
    expect(response.headers.get('allow')).toBe('GET, HEAD, DELETE');
    expect((await problemOf(response)).status).toBe(405);
    expect((await request('/api/v1/jobs', { method: 'DELETE' })).headers.get('allow')).toBe('GET, HEAD, POST');
  });

  it.each(['nope', 'a:b:c:d', ':b', 'a:', '..%2fa:b', 'a:-b', 'a:b%zz%20'])(
    'says "Job not found" of a malformed job_id: %s',
    async (id) => {
      const { request } = await unreachableApi();
      for (const [method, path] of [
        ['GET', id],
        ['DELETE', id],
        ['POST', `${id}/cancel`],
        ['GET', `${id}/runs`],
        ['GET', `${id}/stdout`],
      ] as const) {
        const problem = await problemOf(await request(`/api/v1/jobs/${path}`, { method }));
        expect(problem.status).toBe(404);
        expect(problem.detail).toContain('Job not found');
      }
    },
  );

  it('says "Job not found" of a run_id that can be none', async () => {
    const { request } = await unreachableApi();
    expect(await problemOf(await request('/api/v1/jobs/a:b?run=latest'))).toMatchObject({ status: 404 });
  });

  it('to an unexpected error has a reference, and the log has the error', async () => {
    const { app, request, logged } = await unreachableApi();
    app.get('/broken', () => {
      throw new Error('the secret of the house');
    });
    const response = await request('/broken');
    const text = await response.clone().text();
    const { reference } = await problemOf(response);
    expect(response.status).toBe(500);
    expect(text).not.toContain('secret');
    expect(logged()).toContain('the secret of the house');
    expect(logged()).toContain(reference);
  });

  it('to a parameter that has a typo is no act on the latest run', async () => {
    const { request } = await unreachableApi();
    expect((await request('/api/v1/jobs/a:b?rum=1', { method: 'DELETE' })).status).toBe(422);
    expect((await request('/api/v1/jobs/a:b/cancel?rum=1', { method: 'POST' })).status).toBe(422);
  });
});
