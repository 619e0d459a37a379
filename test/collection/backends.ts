import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import { OciObjectStorage } from './oci-object-storage.js';
import { S3Server } from './s3-server.js';

const bucket = 'jobs';

/** Where state is kept, and how the roles are told. */
export interface Backend {
  /** Settings that the roles share. */
  variables: Record<string, string>;
  /** Credentials. */
  env: Record<string, string>;
  /** Where its server is; of files, nowhere. */
  endpoint: string;
  /** Whether operators find each other's state there. */
  isShared: boolean;
}

/** A backend, and the server behind it. */
export type Served = Backend & AsyncDisposable;

export const backends = { filesystem, s3, oci };
export type BackendName = keyof typeof backends;

/** `describe` for tests that share a backend's server; each call of `fresh` gives a part of it where nothing is yet. */
export function describeOn(name: BackendName, title: string, body: (fresh: () => Backend) => void): void {
  describe(title, { timeout: 600_000 }, () => {
    let served: Served;
    beforeAll(async () => {
      served = await backends[name]();
    }, 600_000);
    afterAll(() => served[Symbol.asyncDispose](), 600_000);
    body(() => partOf(served));
  });
}

function partOf({ variables, env, endpoint, isShared }: Backend): Backend {
  const root = isShared ? { async_job_root: randomBytes(8).toString('hex') } : {};
  return { variables: { ...variables, ...root }, env, endpoint, isShared };
}

/** Files below the folder where an operator starts Ansible. */
function filesystem(): Promise<Served> {
  return Promise.resolve({
    variables: { async_job_backend: 'filesystem' },
    env: {},
    endpoint: '',
    isShared: false,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

/** A real S3-compatible server. */
async function s3(): Promise<Served> {
  const server = await S3Server.open(bucket);
  return {
    variables: { async_job_backend: 's3', async_job_s3_bucket: bucket, async_job_s3_endpoint: server.endpoint },
    env: { AWS_ACCESS_KEY_ID: S3Server.caller.accessKey, AWS_SECRET_ACCESS_KEY: S3Server.caller.secretKey },
    endpoint: server.endpoint,
    isShared: true,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The real SDK, and a stand-in for the service. */
async function oci(): Promise<Served> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'lh-oci-'));
  const storage = await OciObjectStorage.open(bucket);
  return {
    variables: {
      async_job_backend: 'oci',
      async_job_oci_bucket: bucket,
      async_job_oci_endpoint: storage.endpoint,
      async_job_oci_config_file: storage.writeConfig(folder),
    },
    env: {},
    endpoint: storage.endpoint,
    isShared: true,
    [Symbol.asyncDispose]: async () => {
      await storage[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
