import { readFile } from 'node:fs/promises';
import path from 'node:path';
import swaggerUiFolder from 'swagger-ui-dist/absolute-path.js';
import type { Api } from '../app.js';
import { bearerAuth } from '../callers/scope.js';
import { Problem } from '../problem.js';

const assets: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const policy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>Longhaul API</title>
    <link rel="icon" href="/docs/favicon-32x32.png" />
    <link rel="stylesheet" href="/docs/swagger-ui.css" />
  </head>
  <body>
    <div id="api"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const start = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null });
`;

/** `GET /openapi.json`, `GET /docs`: the description of the API, and a page that shows it. Nothing is loaded from elsewhere. */
export function docs(app: Api): void {
  app.openAPIRegistry.registerComponent('securitySchemes', bearerAuth, securityScheme);
  let description: string | undefined;
  app.get('/openapi.json', (c) => {
    description ??= JSON.stringify(app.getOpenAPI31Document(info));
    return c.body(description, 200, { 'content-type': 'application/json' });
  });
  app.get('/docs', (c) => c.html(page, 200, { 'content-security-policy': policy }));
  app.get('/docs/start.js', (c) => c.body(start, 200, { 'content-type': 'text/javascript; charset=utf-8' }));
  app.get('/docs/:asset', async (c) => {
    const name = c.req.param('asset');
    const type = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (type === undefined) throw new Problem('route-not-found', `There is nothing at ${c.req.path}`);
    return c.body(await readFile(path.join(swaggerUiFolder(), name)), 200, {
      'content-type': type,
      'cache-control': 'max-age=3600',
    });
  });
}

const securityScheme = {
  type: 'http',
  scheme: 'bearer',
  description:
    'A token as `npm run token -- create` prints it. The scope that a call needs is named with it; `admin` includes all. Not needed while the service listens on a loopback address and has no tokens.',
} as const;

const info = {
  openapi: '3.1.0',
  info: {
    title: 'Longhaul',
    version: '1',
    description:
      'Runs Ansible as named, durable jobs. A job, once accepted, is started exactly once, outlives every process of the service, and always ends in a true answer. Errors are problems (RFC 9457).',
  },
};
