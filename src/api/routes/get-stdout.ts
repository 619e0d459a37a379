import { createRoute, z } from '@hono/zod-openapi';
import { jobIdOf } from '../../job/names.js';
import { keptAs } from '../../store/host-files.js';
import type { OutputPart, StoredText } from '../../store/output.js';
import type { Api } from '../app.js';
import { parseRange, type ByteRange } from '../byte-range.js';
import { requireScope } from '../callers/scope.js';
import type { ApiContext } from '../context.js';
import { findRun } from '../jobs/find.js';
import type { SeenRun } from '../jobs/jobs.js';
import { isOnNode, lastAttemptOf, outputOfSteps, outputOnHosts } from '../jobs/output.js';
import { problemAnswers } from '../problem-answers.js';
import { Problem } from '../problem.js';
import { JobIdParameter, namedInPath, RunParameter } from '../request.js';

const StdoutParameters = z
  .strictObject({
    tail: z.coerce
      .number()
      .int()
      .min(0)
      .max(1_000_000_000)
      .optional()
      .openapi({ description: 'Only the last N lines' }),
    run: RunParameter,
    attempt: z.coerce.number().int().min(1).optional().openapi({
      description:
        'The current or last attempt if not given; of what runs on target hosts, of each host the last one that ran there',
    }),
    host: z
      .string()
      .max(1000)
      .optional()
      .openapi({ description: 'Of what runs on target hosts: only what this one printed', example: 'web1' }),
    stream: z.enum(['stdout', 'stderr']).optional().openapi({ description: 'With `host`; stdout if not given' }),
  })
  .refine(({ host, stream }) => host !== undefined || stream === undefined, {
    path: ['stream'],
    error: 'needs a host: what is printed on all of them is one text',
  });

const contentType = 'text/plain; charset=utf-8';

const route = createRoute({
  method: 'get',
  path: '/api/v1/jobs/{job_id}/stdout',
  summary: "A job's output",
  description: 'As Ansible prints it, so far. Takes a Range of bytes, of what `tail` leaves if both are given.',
  ...requireScope('jobs:read'),
  request: {
    params: JobIdParameter,
    query: StdoutParameters,
    headers: z.object({
      range: z.string().optional().openapi({ description: 'One range of bytes', example: 'bytes=1000-' }),
    }),
  },
  responses: {
    200: { description: 'The output', content: { 'text/plain': { schema: z.string() } } },
    206: { description: 'A part of it, likewise' },
    ...problemAnswers(401, 403, 404, 416, 422, 503),
  },
});

/** `GET /jobs/{job_id}/stdout`: output as it is now, streamed from the attempt's folder. */
export function getStdout(app: Api, context: ApiContext): void {
  app.openapi(route, async (c) => {
    const { tail, run, attempt, host, stream = 'stdout' } = c.req.valid('query');
    const seen = await findRun(context.jobs, namedInPath(c), run);
    const output = await findOutput(context, seen, attempt, host === undefined ? undefined : { host, stream });
    const whole = await wholeOf(output, tail);
    // With If-Range the client may hold a part of something else: we give no validators, so it gets everything.
    const range =
      c.req.header('if-range') === undefined
        ? parseRange(c.req.valid('header').range, whole.end - whole.start)
        : undefined;
    if (range === 'unsatisfiable') throw outOfRange(whole.end - whole.start);
    const isHead = c.req.method === 'HEAD';
    return answer(isHead ? undefined : output, whole, range);
  });
}

async function wholeOf(output: StoredText | undefined, tail: number | undefined): Promise<ByteRange> {
  if (output === undefined) return { start: 0, end: 0 };
  const end = await output.size();
  return { start: tail === undefined ? 0 : await output.startOfTail(tail, end), end };
}

/** @param output undefined: without a body */
function answer(output: StoredText | undefined, whole: ByteRange, range: ByteRange | undefined): Response {
  const size = whole.end - whole.start;
  const part = range ?? { start: 0, end: size };
  const length = part.end - part.start;
  const headers: Record<string, string> = {
    'content-type': contentType,
    'content-length': String(length),
    'accept-ranges': 'bytes',
  };
  if (range !== undefined) headers['content-range'] = `bytes ${range.start}-${range.end - 1}/${size}`;
  const body =
    output === undefined || length === 0 ? null : output.stream(whole.start + part.start, whole.start + part.end);
  return new Response(body as ReadableStream | null, { status: range === undefined ? 200 : 206, headers });
}

/**
 * The output that is asked for; undefined while there is none because no attempt was placed yet.
 * @throws Problem `output-not-found`
 */
async function findOutput(
  { store }: ApiContext,
  seen: SeenRun,
  wanted: number | undefined,
  part: OutputPart | undefined,
): Promise<StoredText | undefined> {
  const { run, steps } = seen;
  const none = (why: string): Problem => new Problem('output-not-found', `No output of ${jobIdOf(run.job)}: ${why}`);
  const last = steps === undefined ? lastAttemptOf(run) : 1;
  const attempt = wanted ?? last;
  if (attempt === null) return undefined;
  if (attempt > (last ?? 0)) throw none(`there is no attempt ${attempt}`);
  if (steps !== undefined) {
    if (part !== undefined) throw none(`hosts are those of its steps`);
    const outputs = await outputOfSteps(store, run, steps);
    if (outputs?.isHere === false) throw none('the folders of its steps are not on this machine');
    return outputs?.text;
  }
  if (!isOnNode(run)) {
    const output = await outputOnHosts(store, seen, wanted);
    if (output === undefined) throw notHere(run, attempt, none);
    const lacking = (await output.lacking()).filter((host) => part === undefined || keptAs(host) === keptAs(part.host));
    if (lacking.length > 0) throw none(`what ${lacking[0]} printed is not on this machine, or not all of it`);
    if (part === undefined) return output;
    const printed = await output.of(part);
    if (printed === undefined) throw none(`nothing is kept of a host ${part.host}`);
    return printed;
  }
  const output = await store.output({ ...run.job, runId: run.evidenceRunId, attempt });
  if (output === undefined) throw notHere(run, attempt, none);
  if (part !== undefined) throw none(`nothing is kept of a host ${part.host}`);
  return output;
}

function notHere(run: SeenRun['run'], attempt: number, none: (why: string) => Problem): Problem {
  if (hasNotStarted(run, attempt)) return none(`attempt ${attempt} was not started`);
  return none(`the folder of attempt ${attempt} is not on this machine`);
}

function hasNotStarted({ memo }: SeenRun['run'], attempt: number): boolean {
  return memo.attempts?.find((record) => record.attempt === attempt)?.outcome.started_at === null;
}

function outOfRange(size: number): Problem {
  return new Problem('range-not-satisfiable', `The output has ${size} bytes now`, {
    headers: { 'content-range': `bytes */${size}` },
  });
}
