import type { MiddlewareHandler } from 'hono';
import { Problem } from './problem.js';

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?$/i;
const httpPort = 80;

/**
 * Keeps pages of other origins from a service on a loopback address: a browser sends their Origin, or, when their name
 * was turned to 127.0.0.1, their Host (DNS rebinding).
 * @param port where the service listens
 */
export function refuseForeignPages(port: number): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header('host');
    if (host === undefined || !isOurs(host, port)) {
      throw new Problem(
        'foreign-host',
        `The Host header must be a loopback name or address with port ${port}, such as localhost:${port}`,
      );
    }
    const origin = c.req.header('origin');
    if (origin !== undefined && !isOurOrigin(origin, port)) {
      throw new Problem('foreign-origin', 'Pages of another origin can not use this service');
    }
    await next();
  };
}

function isOurOrigin(origin: string, port: number): boolean {
  const scheme = 'http://';
  return origin.startsWith(scheme) && isOurs(origin.slice(scheme.length), port);
}

function isOurs(authority: string, port: number): boolean {
  const match = loopback.exec(authority);
  return match !== null && Number(match[3] ?? httpPort) === port;
}
