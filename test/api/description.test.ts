import { describe, expect, it } from 'vitest';
import { unreachableApi } from './unreachable.js';

describe('the description of the API', () => {
  it('has every route that is served below /api', async () => {
    const { app, request } = await unreachableApi();
    const { paths }: any = await (await request('/openapi.json')).json();
    const served = app.routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/api/'));
    for (const { method, path } of served) {
      expect(paths[path.replaceAll(/:(\w+)/g, '{$1}')]).toHaveProperty(method.toLowerCase());
    }
    expect(served.length).toBeGreaterThan(5);
  });

  it('is OpenAPI 3.1, and every reference in it leads somewhere', async () => {
    const { request } = await unreachableApi();
    const text = await (await request('/openapi.json')).text();
    const description = JSON.parse(text);
    expect(description.openapi).toMatch(/^3\.1\./);
    for (const [, name] of text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
      expect(description.components.schemas).toHaveProperty(name!);
    }
    expect(description.components.schemas).toHaveProperty('JobSpec');
    const kinds = description.components.schemas.JobSpec.oneOf;
    expect(kinds.map(({ properties }: any) => properties.kind.enum[0])).toEqual(['playbook', 'task', 'adopt', 'steps']);
    expect(kinds.map(({ required }: any) => required)).toEqual([['playbook'], undefined, ['adopt'], ['steps']]);
  });

  it('is shown by a page that loads nothing from elsewhere', async () => {
    const { request } = await unreachableApi();
    const page = await request('/docs');
    const html = await page.text();
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, source]) => source!);
    expect(sources.length).toBeGreaterThan(2);
    for (const source of sources) {
      expect(source).toMatch(/^\/docs\//);
      expect((await request(source)).status).toBe(200);
    }
  });
});
