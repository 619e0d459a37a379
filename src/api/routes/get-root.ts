import type { Api } from '../app.js';
import { jobsPath } from '../links.js';

/** `GET /`: where to go from here. */
export function getRoot(app: Api): void {
  app.get('/', (c) =>
    c.json({
      name: 'Longhaul',
      jobs: jobsPath,
      counts: `${jobsPath}/counts`,
      playbooks: '/api/v1/playbooks',
      docs: '/docs',
      openapi: '/openapi.json',
    }),
  );
}
