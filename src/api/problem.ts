/** Every cause of an error answer, as RFC 9457 problems have it. */
export const problems = {
  'invalid-playbook-name': { status: 400, title: 'Invalid playbook name' },
  'malformed-json': { status: 400, title: 'Malformed JSON' },
  unauthorized: { status: 401, title: 'A valid token is needed' },
  'foreign-origin': { status: 403, title: 'Origin not allowed' },
  'missing-scope': { status: 403, title: 'The token lacks a scope' },
  'job-not-found': { status: 404, title: 'Job not found' },
  'playbook-not-found': { status: 404, title: 'Playbook not found' },
  'output-not-found': { status: 404, title: 'Output not found' },
  'route-not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  'job-conflict': { status: 409, title: 'The name is taken by a job with another spec' },
  'job-finished': { status: 409, title: 'The job has finished' },
  'job-not-placed': { status: 409, title: 'The job is on no node' },
  'part-of-a-job': { status: 409, title: 'It is a step of a job' },
  'hosts-reachable': { status: 409, title: 'No host has been out of reach for long enough' },
  'node-live': { status: 409, title: 'The node is live' },
  'run-superseded': { status: 409, title: "This run is not the job's latest" },
  'body-too-large': { status: 413, title: 'Body too large' },
  'unsupported-content-type': { status: 415, title: 'Unsupported content type' },
  'range-not-satisfiable': { status: 416, title: 'Range not satisfiable' },
  'foreign-host': { status: 421, title: 'Host not served here' },
  'invalid-request': { status: 422, title: 'Invalid request' },
  'internal-error': { status: 500, title: 'Internal error' },
  'temporal-unavailable': { status: 503, title: 'Temporal is not available' },
  'tokens-unreadable': { status: 503, title: 'The tokens can not be read' },
  'no-free-slot': { status: 503, title: 'No slot is free' },
  'job-closing': { status: 503, title: 'The job is still closing' },
  'job-deleting': { status: 503, title: 'The job is still being deleted' },
  'job-entering': { status: 503, title: 'The job is not in Temporal yet' },
  'storage-full': { status: 507, title: 'Too little space is left' },
} as const;

export type ProblemCause = keyof typeof problems;

/** Where in the request an error is: a JSON pointer into the body, or a parameter's name. */
export type FieldError = { pointer: string; detail: string } | { parameter: string; detail: string };

/** Thrown where a request can't be served; answered as application/problem+json. */
export class Problem extends Error {
  override readonly name = 'Problem';

  /**
   * @param detail for the caller: what is wrong and what to do
   * @param more `errors` for single fields; `headers` for the answer; `members` of the body beside the standard ones
   */
  constructor(
    readonly type: ProblemCause,
    readonly detail: string,
    readonly more: { errors?: FieldError[]; headers?: Record<string, string>; members?: Record<string, unknown> } = {},
  ) {
    super(detail);
  }

  toResponse(): Response {
    const { status, title } = problems[this.type];
    const { errors, headers, members } = this.more;
    const body = {
      type: `/problems/${this.type}`,
      title,
      status,
      detail: this.detail,
      ...members,
      ...(errors && { errors }),
    };
    return new Response(JSON.stringify(body), {
      status,
      headers: { ...headers, 'content-type': 'application/problem+json', 'cache-control': 'no-store' },
    });
  }
}

/** The problem of a job that isn't there, or isn't this tenant's. */
export function jobNotFound(jobId: string): Problem {
  return new Problem('job-not-found', `Job not found: ${jobId}`);
}
