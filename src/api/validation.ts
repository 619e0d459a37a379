import type { Hook } from '@hono/zod-openapi';
import type { z } from 'zod';
import { Problem, type FieldError } from './problem.js';

/** Turns what a schema refused into a 422 that names every field. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the library's type of a hook for all routes
export const refuseInvalid: Hook<any, any, any, any> = (result) => {
  if (!result.success) throw invalidRequest(result.error, result.target === 'json' ? 'body' : 'parameter');
};

/** The problem of a request whose body or parameters don't fit their schema. */
export function invalidRequest(error: z.ZodError, where: 'body' | 'parameter'): Problem {
  const errors = error.issues
    .flatMap((issue) => issuesWithin(issue, where === 'body' ? 'field' : 'parameter'))
    .map(({ path, message }): FieldError => {
      return where === 'body'
        ? { pointer: pointerOf(path), detail: message }
        : { parameter: String(path[0] ?? ''), detail: message };
    });
  const first = errors[0];
  const field = first === undefined ? '' : 'pointer' in first ? first.pointer : first.parameter;
  const detail =
    first === undefined ? 'The request is not valid' : `${field === '' ? 'The body' : field}: ${first.detail}`;
  return new Problem('invalid-request', detail, { errors });
}

/** A JSON pointer (RFC 6901). */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

interface Issue {
  path: PropertyKey[];
  message: string;
}

/** An issue a field: unknown ones one by one, and of a union what is wrong with the alternative that comes closest. */
function issuesWithin(issue: z.core.$ZodIssue, kind: 'field' | 'parameter'): Issue[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: `unknown ${kind}` }));
  if (issue.code !== 'invalid_union') return [issue];
  // Without alternatives that could be tried, nothing told which one was meant; nobody gives the field that tells.
  if (issue.errors.length === 0) return [{ ...issue, path: issue.path.slice(0, -1) }];
  const closest = issue.errors.find((branch) => !branch.some(isOfWrongType));
  if (closest === undefined) return [{ path: issue.path, message: expectation(issue.errors.flat()) }];
  return closest
    .flatMap((inner) => issuesWithin(inner, kind))
    .map(({ path, message }) => ({ path: [...issue.path, ...path], message }));
}

function isOfWrongType({ code, path }: z.core.$ZodIssue): boolean {
  return code === 'invalid_type' && path.length === 0;
}

function expectation(issues: z.core.$ZodIssue[]): string {
  const types = issues.flatMap((issue) => (issue.code === 'invalid_type' ? [issue.expected] : []));
  return `Invalid input: expected ${[...new Set(types)].join(' or ')}`;
}
