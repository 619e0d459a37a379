import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { Problem } from './problem.js';

/** The largest body that is read, in bytes. */
export const maxBodyBytes = 1024 * 1024;
const maxDepth = 64;

/** Refuses bodies over 1 MiB, also those that don't say how long they are. */
export const limitBody: MiddlewareHandler = bodyLimit({
  maxSize: maxBodyBytes,
  onError: () => {
    throw new Problem(
      'body-too-large',
      `The body is larger than ${maxBodyBytes} bytes. Move large data into files beside the playbook`,
      // What is unread of it ends with the connection: the client must not reuse that.
      { headers: { connection: 'close' } },
    );
  },
});

/**
 * Lets only JSON through to a route that changes something: what a page of another origin can send without being asked
 * (forms, plain text) is refused. An empty one stands for `{}` where `optional`.
 */
export function requireJson({ optional }: { optional: boolean }): MiddlewareHandler {
  return async (c, next) => {
    const type = c.req.header('content-type');
    const text = decode(await c.req.arrayBuffer());
    if (optional && text === '') {
      // Hono keeps the promise of a body that was read; its type says otherwise.
      if (type !== undefined) (c.req.bodyCache as Record<string, unknown>).text = Promise.resolve('{}');
    } else {
      if (!/^application\/json\s*(;|$)/i.test(type ?? '')) throw wrongType(type);
      const body = parse(text);
      refuseUnsafeNumbersAndDepth(body);
      refuseLongIntegers(text);
    }
    await next();
  };
}

function decode(body: ArrayBuffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (error) {
    if (error instanceof TypeError) throw new Problem('malformed-json', 'The body is not UTF-8');
    throw error;
  }
}

/**
 * What JSON.parse changes without a word: integers of which a double keeps the first digits only.
 * @param text JSON that was parsed; in anything else the search for strings would take very long
 */
function refuseLongIntegers(text: string): void {
  const withoutStrings = text.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  const integers = withoutStrings.match(/(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g) ?? [];
  const unsafe = integers.find((integer) => !Number.isSafeInteger(Number(integer)));
  if (unsafe === undefined) return;
  throw new Problem('malformed-json', `The number ${unsafe.slice(0, 40)} would lose digits. Send it as a string`);
}

function wrongType(type: string | undefined): Problem {
  const detail = `Content-Type must be application/json${type === undefined ? '; there was none' : `, not ${type.slice(0, 100)}`}`;
  return new Problem('unsupported-content-type', detail);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new Problem(
      'malformed-json',
      text === '' ? 'The body is empty' : `The body is not JSON: ${error.message.slice(0, 200)}`,
    );
  }
}

/** What JSON.stringify would change or not survive: numbers beyond a double's range, and nesting without end. */
function refuseUnsafeNumbersAndDepth(body: unknown): void {
  const rest: { value: unknown; depth: number }[] = [{ value: body, depth: 1 }];
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    const { value, depth } = part;
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new Problem('malformed-json', 'The body has a number that is too large');
    if (typeof value !== 'object' || value === null) continue;
    if (depth > maxDepth) throw new Problem('malformed-json', `The body is nested more than ${maxDepth} levels deep`);
    for (const inner of Object.values(value)) rest.push({ value: inner, depth: depth + 1 });
  }
}
