import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Logger } from 'pino';
import { isErrno } from '../disk/errno.js';

/** Idle connections of clients are kept this long: Node's 5 s drop those of a client that asks every 10. */
const keepAliveMs = 75_000;
/** How long requests that are being answered may go on when the service ends. */
const graceMs = 2_000;

/** The API can't listen; the message says where, and which variable to change. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

export interface Listening {
  address: AddressInfo;
  /** Stops listening, lets what is being answered end for at most 2 s, and closes all connections. */
  close(): Promise<void>;
}

/** Serves `app` on an address. @throws ListenError when it can't be listened on */
export async function listen(
  app: Pick<OpenAPIHono, 'fetch'>,
  host: string,
  port: number,
  log: Logger,
): Promise<Listening> {
  const serverOptions = { keepAliveTimeout: keepAliveMs, headersTimeout: keepAliveMs + 5_000 };
  const server = serve({ fetch: app.fetch, hostname: host, port, serverOptions }) as Server;
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new ListenError(reasonOf(error, host, port), { cause: error });
  }
  server.on('error', (error) => {
    log.error({ err: error }, 'the HTTP server reports an error');
  });
  return { address: server.address() as AddressInfo, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  const cut = setTimeout(() => {
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearTimeout(cut);
}

function reasonOf(error: unknown, host: string, port: number): string {
  if (isErrno(error, 'EADDRINUSE'))
    return `Port ${port} of ${host} is taken by another process. End it, or set PORT to a free one.`;
  if (isErrno(error, 'EACCES')) return `Port ${port} may not be listened on by this user. Set PORT to one above 1023.`;
  if (isErrno(error, 'EADDRNOTAVAIL')) return `${host} is not an address of this machine. Set HOST to one that is.`;
  return `Can't listen on ${host}, port ${port}: ${(error as Error).message}. Check HOST and PORT.`;
}
