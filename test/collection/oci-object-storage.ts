import { createHash, createPublicKey, generateKeyPairSync, randomUUID, verify, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import path from 'node:path';

const namespace = 'testns';
const maxSkewMs = 5 * 60_000;
const keyId = 'ocid1.tenancy.oc1..test/ocid1.user.oc1..test';
const fingerprint = '11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00';

interface StoredObject {
  content: Buffer;
  etag: string;
}

/**
 * A stand-in for OCI Object Storage: the calls that the collection makes, their conditions, and OCI's request signature, which it verifies as
 * https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm has it.
 */
export class OciObjectStorage {
  readonly namespace = namespace;
  private readonly buckets = new Map<string, Map<string, StoredObject>>();
  /** Requests that were answered with 401. */
  refused = 0;

  private constructor(
    private readonly server: Server,
    private readonly publicKey: KeyObject,
    /** The caller's private key, as PEM. */
    private readonly privateKey: string,
  ) {}

  static async open(...buckets: string[]): Promise<OciObjectStorage> {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const server = createServer();
    const storage = new OciObjectStorage(server, createPublicKey(publicKey), privateKey);
    for (const bucket of buckets) storage.buckets.set(bucket, new Map());
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void storage.serve(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return storage;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Writes a configuration of the SDK for a caller that is known here; its path. */
  writeConfig(folder: string): string {
    const key = path.join(folder, 'oci-key.pem');
    writeFileSync(key, this.privateKey, { mode: 0o600 });
    const [tenancy, user] = keyId.split('/');
    const lines = ['[DEFAULT]', `user=${user}`, `tenancy=${tenancy}`, `fingerprint=${fingerprint}`];
    const file = path.join(folder, 'oci-config');
    writeFileSync(file, [...lines, `key_file=${key}`, 'region=eu-frankfurt-1', ''].join('\n'), { mode: 0o600 });
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const content = Buffer.concat(parts);
    const refusal = this.refusalOf(request, content);
    if (refusal !== undefined) {
      this.refused += 1;
      return fail(response, 401, 'NotAuthenticated', refusal);
    }
    this.answer(request, content, response);
  }

  /** Why a request is not its caller's; undefined if its signature is good. */
  private refusalOf(request: IncomingMessage, content: Buffer): string | undefined {
    const fields = new Map(
      [...(request.headers.authorization ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    if (fields.get('version') !== '1' || fields.get('algorithm') !== 'rsa-sha256')
      return 'not a signature of version 1';
    if (fields.get('keyId') !== `${keyId}/${fingerprint}`) return 'the key is not known';
    const signed = (fields.get('headers') ?? '').split(' ');
    const missing = requiredHeaders(request).find((name) => !signed.includes(name));
    if (missing !== undefined) return `${missing} is not signed`;
    const lines = signed.map((name) =>
      name === '(request-target)'
        ? `${name}: ${request.method?.toLowerCase()} ${request.url}`
        : `${name}: ${String(request.headers[name])}`,
    );
    const signature = Buffer.from(fields.get('signature') ?? '', 'base64');
    if (!verify('RSA-SHA256', Buffer.from(lines.join('\n')), this.publicKey, signature))
      return 'the signature is wrong';
    const date = Date.parse(request.headers.date ?? '');
    if (!(Math.abs(Date.now() - date) < maxSkewMs)) return 'the date is too far off';
    const hash = request.headers['x-content-sha256'];
    const isTrue = hash === undefined || hash === createHash('sha256').update(content).digest('base64');
    return isTrue ? undefined : 'the content is not what was signed';
  }

  private answer(request: IncomingMessage, content: Buffer, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '', this.endpoint);
    if (request.method === 'GET' && /^\/n\/?$/.test(pathname)) return json(response, namespace);
    const [, inNamespace, bucketName, encoded] = /^\/n\/([^/]+)\/b\/([^/]+)\/o(?:\/(.+))?$/.exec(pathname) ?? [];
    const bucket = inNamespace === namespace ? this.buckets.get(bucketName ?? '') : undefined;
    if (bucket === undefined) return fail(response, 404, 'BucketNotFound', `no bucket ${bucketName}`);
    if (encoded === undefined) return list(bucket, searchParams, response);

    const name = decodeURIComponent(encoded);
    const found = bucket.get(name);
    const broken = brokenCondition(request, found);
    if (broken !== undefined) return fail(response, 412, broken, 'the condition does not hold');
    switch (request.method) {
      case 'PUT': {
        const etag = randomUUID();
        bucket.set(name, { content, etag });
        return void response.writeHead(200, { etag }).end();
      }
      case 'GET':
        if (found === undefined) return fail(response, 404, 'ObjectNotFound', `no object ${name}`);
        return void response.writeHead(200, { etag: found.etag }).end(found.content);
      case 'DELETE':
        if (!bucket.delete(name)) return fail(response, 404, 'ObjectNotFound', `no object ${name}`);
        return void response.writeHead(204).end();
      default:
        return fail(response, 405, 'MethodNotAllowed', String(request.method));
    }
  }
}

/** The content of an object is sent without being signed; that of every other request is signed. */
function requiredHeaders({ method, url }: IncomingMessage): string[] {
  const always = ['date', '(request-target)', 'host'];
  const hasSignedContent = method !== 'GET' && method !== 'DELETE' && !/\/o\/./.test(url ?? '');
  return hasSignedContent ? [...always, 'content-length', 'content-type', 'x-content-sha256'] : always;
}

function brokenCondition({ headers }: IncomingMessage, found: StoredObject | undefined): string | undefined {
  if (headers['if-none-match'] === '*' && found !== undefined) return 'IfNoneMatchFailed';
  const wanted = headers['if-match'];
  return wanted !== undefined && wanted !== found?.etag ? 'IfMatchFailed' : undefined;
}

/** A page of at most two, so that there are pages. */
function list(bucket: Map<string, StoredObject>, query: URLSearchParams, response: ServerResponse): void {
  const [prefix, start] = [query.get('prefix') ?? '', query.get('start') ?? ''];
  const names = [...bucket.keys()].filter((name) => name.startsWith(prefix) && name >= start).sort();
  json(response, { objects: names.slice(0, 2).map((name) => ({ name })), nextStartWith: names[2] ?? null });
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function fail(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ code, message }));
}
