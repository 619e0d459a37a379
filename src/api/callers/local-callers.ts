import type { HonoRequest } from 'hono';
import { Problem } from '../problem.js';

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?$/i;
const httpPort = 80;

/**
 * Keeps pages of other origins from a service that lets everybody on this machine in: a browser sends their Origin, or, when
 * their name was turned to 127.0.0.1, their Host (DNS rebinding).
 * @param port where the service listens
 * @throws Problem `foreign-host`, `foreign-origin`
 */
export function refuseForeignPage(request: HonoRequest, port: number): void {
  const host = request.header('host');
  if (host === undefined || !isOurs(host, port)) {
    throw new Problem(
      'foreign-host',
      `The Host header must be a loopback name or address with port ${port}, such as localhost:${port}`,
    );
  }
  const origin = request.header('origin');
  if (origin !== undefined && !isOurOrigin(origin, port)) {
    throw new Problem('foreign-origin', 'Pages of another origin can not use this service');
  }
}

function isOurOrigin(origin: string, port: number): boolean {
  const scheme = 'http://';
  return origin.startsWith(scheme) && isOurs(origin.slice(scheme.length), port);
}

function isOurs(authority: string, port: number): boolean {
  const match = loopback.exec(authority);
  return match !== null && Number(match[3] ?? httpPort) === port;
}
