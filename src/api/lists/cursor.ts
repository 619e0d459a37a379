import { createHash } from 'node:crypto';
import { Problem } from '../problem.js';

/** Where a list goes on. */
export interface Cursor {
  /** Temporal's own word for the place. */
  pageToken: Uint8Array;
  /** When the first page was asked for, ms since 1970. */
  begunAt: number;
  /** Marks of the runs that were delivered while they were open, oldest first. */
  delivered: string[];
}

const version = 'v1';
/** So many fit into a URL and a header of the sizes that servers and proxies accept. */
const maxDelivered = 800;
const markLength = 8;
const sealLength = 16;

/** What is remembered of a run: 48 bits of a hash of its id. */
export function markOf(runId: string): string {
  return createHash('sha256').update(runId).digest('base64url').slice(0, markLength);
}

/**
 * A cursor as its caller gets it. It is good for the query alone that it was made for.
 * Of too many delivered runs the oldest are dropped: one of them may come a second time, but none is lost.
 */
export function encodeCursor({ pageToken, begunAt, delivered }: Cursor, query: string): string {
  const content = [
    Buffer.from(pageToken).toString('base64url'),
    begunAt.toString(36),
    delivered.slice(-maxDelivered).join(''),
  ].join('.');
  return `${version}.${seal(content, query)}.${content}`;
}

/** @throws Problem `invalid-request` where it was not made for this query by `encodeCursor` */
export function decodeCursor(cursor: string, query: string): Cursor {
  const [, given, content] = /^v1\.([\w-]+)\.([\w-]+\.\w+\.[\w-]*)$/.exec(cursor) ?? [];
  if (content === undefined || given !== seal(content, query)) throw invalidCursor();
  const [pageToken = '', begunAt = '', delivered = ''] = content.split('.');
  return {
    pageToken: Buffer.from(pageToken, 'base64url'),
    begunAt: parseInt(begunAt, 36),
    delivered: delivered.match(new RegExp(`.{${markLength}}`, 'g')) ?? [],
  };
}

/** The problem of a cursor that is none. */
export function invalidCursor(): Problem {
  const detail = 'not a cursor of this list: give next_cursor as it was answered, with the same filters';
  return new Problem('invalid-request', `cursor: ${detail}`, { errors: [{ parameter: 'cursor', detail }] });
}

/** Tells a cursor from a made-up one, and from those of other queries. No secret: a cursor leads nowhere its query doesn't. */
function seal(content: string, query: string): string {
  return createHash('sha256').update(`${query}\n${content}`).digest('base64url').slice(0, sealLength);
}
