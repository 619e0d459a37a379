import { z } from 'zod';
import { problems } from './problem.js';

/** The body of every error answer (RFC 9457). */
export const ProblemBody = z
  .object({
    type: z.string().describe('The cause, one of `/problems/...`'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z
      .array(z.object({ pointer: z.string().optional(), parameter: z.string().optional(), detail: z.string() }))
      .optional()
      .describe('Single fields, by JSON pointer into the body or by parameter'),
  })
  .meta({ id: 'Problem' });

type Status = (typeof problems)[keyof typeof problems]['status'];
type Answers<S extends Status> = Record<
  S,
  { description: string; content: { 'application/problem+json': { schema: typeof ProblemBody } } }
>;

/** The error answers of a route, for its description. */
export function problemAnswers<S extends Status>(...statuses: S[]): Answers<S> {
  const answers = statuses.map((status) => {
    const titles = Object.values(problems).filter((problem) => problem.status === status);
    const description = titles.map(({ title }) => title).join('; ');
    return [status, { description, content: { 'application/problem+json': { schema: ProblemBody } } }] as const;
  });
  return Object.fromEntries(answers) as Answers<S>;
}
