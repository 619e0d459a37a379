import { z } from '@hono/zod-openapi';
import { JobDocument, JobStatus } from '../../job/document.js';
import { FailureKind } from '../../job/failure.js';
import { jobWorkflowType } from '../../job/protocol.js';
import { hasWholeAttribute, playbookAttribute } from '../../job/search-attributes.js';
import { all, any, equals, isBefore, isFrom, isOneOf } from '../../job/visibility.js';
import { hasStatus } from './status.js';

/** Other words for a status. */
const statusWords: Partial<Record<string, JobStatus>> = {
  queued: 'pending',
  completed: 'successful',
  cancelled: 'canceled',
};

const repeatable = z.union([z.string(), z.array(z.string())]).transform((values) => [values].flat());
const separated = repeatable.transform((values) => values.flatMap((value) => value.split(',')));
const statuses = separated.transform((words) => words.map((word) => statusWords[word] ?? word));
const kind = JobDocument.shape.kind;

const Names = separated.optional();
const timeRule = 'a time as RFC 3339 has it, such as 2026-11-22T09:00:00Z; in a URL + is %2B';
const Time = z.iso
  .datetime({ offset: true, error: timeRule, abort: true })
  .refine((time) => /T\d\d:\d\d:\d\d/.test(time), { error: timeRule })
  .optional();

/** Which jobs are meant; the parameters of a list. What is not given doesn't matter. */
export const JobFilter = z.strictObject({
  tenant: Names.openapi(text("Only the caller's own tenant has jobs here", 'default')),
  workspace: Names.openapi(text('', 'default')),
  status: statuses
    .pipe(z.array(JobStatus))
    .optional()
    .openapi(text(`${oneOf(JobStatus.options)}; also \`queued\`, \`completed\` and \`cancelled\``, 'failed,canceled')),
  playbook: repeatable
    .pipe(z.array(z.string().refine(hasWholeAttribute, { error: 'too long to be told apart: use playbook_name' })))
    .optional()
    .openapi({ type: 'string', description: 'A path. Repeat the parameter for several', example: 'site.yml' }),
  playbook_name: Names.openapi(text('', 'site')),
  name: Names.openapi(text('', 'nightly')),
  kind: separated
    .pipe(z.array(kind))
    .optional()
    .openapi(text(oneOf(kind.options), 'playbook')),
  failure: separated
    .pipe(z.array(FailureKind))
    .optional()
    .openapi(text(`The kind: ${oneOf(FailureKind.options)}`, 'exit,lost')),
  node: Names.openapi(text('Where the current or last attempt is or was', 'node-1')),
  schedule: Names.openapi(text('The schedule that started it', 'nightly')),
  since: Time.openapi({ description: 'Created then or later, RFC 3339', example: '2026-11-22T09:00:00Z' }),
  until: Time.openapi({ description: 'Created before then, RFC 3339', example: '2026-11-23T09:00:00Z' }),
});
export type JobFilter = z.output<typeof JobFilter>;

/** The parameters that are values of attributes as they are. */
const attributes = ['tenant', 'workspace', 'playbook_name', 'name', 'kind', 'failure', 'node', 'schedule'] as const;

/** The runs of a tenant that a filter lets through, as a query of Temporal's visibility. */
export function queryOf(tenant: string, filter: JobFilter): string {
  const conditions = [equals('WorkflowType', jobWorkflowType), equals('tenant', tenant)];
  for (const attribute of attributes) {
    const values = filter[attribute];
    if (values !== undefined) conditions.push(isOneOf(attribute, values));
  }
  const { playbook, status, since, until } = filter;
  if (playbook !== undefined) conditions.push(isOneOf('playbook', playbook.map(playbookAttribute)));
  if (status !== undefined) conditions.push(any(...new Set(status.map(hasStatus))));
  if (since !== undefined) conditions.push(isFrom('StartTime', since));
  if (until !== undefined) conditions.push(isBefore('StartTime', until));
  return all(...conditions);
}

function text(description: string, example: string): { type: 'string'; description: string; example: string } {
  const several = 'One, or several separated by commas';
  return { type: 'string', description: description === '' ? several : `${description}. ${several}`, example };
}

function oneOf(words: readonly string[]): string {
  return words.map((word) => `\`${word}\``).join(', ');
}
