import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { loadConfig } from '../../src/config.js';
import { freePorts } from '../ports.js';
import { until } from '../service/processes.js';

/** SeaweedFS, with one bucket and one caller: a real S3-compatible server. */
export class S3Server implements AsyncDisposable {
  private constructor(
    readonly endpoint: string,
    private readonly folder: string,
    private readonly process: ChildProcess,
  ) {}

  static readonly caller = { accessKey: 'operator', secretKey: 'a secret' };

  static async open(bucket: string): Promise<S3Server> {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'lh-s3-'));
    const identity = { name: 'operator', credentials: [S3Server.caller], actions: ['Admin'] };
    await writeFile(path.join(folder, 's3.json'), JSON.stringify({ identities: [identity] }));
    const ports = await freePorts(parts.length);
    const where = parts.map((part, index) => `-${part}=${ports[index]}`);
    const weed = path.join(path.dirname(loadConfig({}).python), 'weed');
    const options = [`-dir=${folder}`, '-ip=127.0.0.1', '-ip.bind=127.0.0.1', '-master.volumeSizeLimitMB=64', ...where];
    const s3 = ['-s3', `-s3.config=${path.join(folder, 's3.json')}`, '-s3.port.iceberg=0', '-s3.port.lance=0'];
    const child = spawn(weed, ['server', ...options, ...s3], { stdio: 'ignore' });
    const addressOf = (part: (typeof parts)[number]) => `http://127.0.0.1:${ports[parts.indexOf(part)]}`;
    const server = new S3Server(addressOf('s3.port'), folder, child);
    // A bucket is a folder of its file system.
    await until('a bucket of the S3 server', () => posted(`${addressOf('filer.port')}/buckets/${bucket}/`));
    await until('the S3 server', () => fetch(server.endpoint).then(Boolean, () => false));
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL');
    await until('the end of the S3 server', () => this.process.exitCode !== null || this.process.signalCode !== null);
    await rm(this.folder, { recursive: true });
  }
}

const parts = [
  'master.port',
  'master.port.grpc',
  'volume.port',
  'volume.port.grpc',
  'filer.port',
  'filer.port.grpc',
  's3.port',
  's3.port.grpc',
] as const;

function posted(url: string): Promise<boolean> {
  return fetch(url, { method: 'POST' }).then(
    ({ ok }) => ok,
    () => false,
  );
}
