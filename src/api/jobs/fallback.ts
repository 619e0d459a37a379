import { NoSlotError, NoSpaceError } from '../../foreground/foreground.js';
import type { JobName } from '../../job/names.js';
import type { JobSpec } from '../../job/spec.js';
import type { ApiContext } from '../context.js';
import { Problem } from '../problem.js';
import { temporalUnavailable } from '../temporal/connection.js';
import type { Outage } from '../temporal/outage.js';
import type { Submitted } from './submit.js';

/** Leaves room for its outcome in what is entered into Temporal, which takes 2 MiB. */
const specBytes = 1_300_000;

const nameUnknown =
  'Temporal is away, and nobody else knows whether the name is taken. Nothing was started; repeat the request later';

const endsNow = 'Temporal is away, and the service ends. Nothing was started; repeat the request when it is back';

/** When jobs run without Temporal. */
export interface Fallback {
  outage: Outage;
  /** How long nobody must have listened at Temporal's address. */
  afterMs: number;
}

/** What a submission needs from the context. */
type Context = Pick<ApiContext, 'fallback' | 'foreground' | 'log' | 'ending'>;

/**
 * Starts a job in the foreground if that is allowed, and Temporal is known to be away before anything is sent to it (an
 * error later may mean that it was started). Undefined if it is to be submitted to Temporal.
 * @param isNamed whether its name was given, or stands for a key: without Temporal nobody knows whether it is taken
 * @throws Problem `temporal-unavailable` for a named one while Temporal is known to be away, `no-free-slot`, `storage-full`
 */
export async function startInForeground(
  { fallback, foreground, log, ending }: Context,
  job: JobName,
  spec: JobSpec,
  isNamed: boolean,
  client: AbortSignal,
): Promise<Submitted | undefined> {
  if (fallback === undefined || spec.kind !== 'playbook') return undefined;
  const { outage, afterMs } = fallback;
  if (isNamed) {
    const since = outage.since === null ? null : await outage.look();
    if (since !== null && Date.now() - since.getTime() >= afterMs)
      throw temporalUnavailable(new Error(reasonOf(outage, since)), nameUnknown);
    return undefined;
  }
  const since = await outage.lasting(afterMs, client, ending);
  client.throwIfAborted();
  if (since === null && ending.aborted) throw temporalUnavailable(new Error('the service ends'), endsNow);
  if (since === null) return undefined;
  refuseLarge(spec);
  try {
    await foreground.accept(job, spec, reasonOf(outage, since));
  } catch (error) {
    throw problemOf(error);
  }
  log.warn({ ...job, since }, 'Temporal is away: a job runs in the foreground');
  return { runId: job.name, created: true };
}

function reasonOf({ address }: Outage, since: Date): string {
  return `Temporal at ${address} has refused connections since ${since.toISOString()}`;
}

function refuseLarge(spec: JobSpec): void {
  if (Buffer.byteLength(JSON.stringify(spec)) <= specBytes) return;
  throw new Problem(
    'body-too-large',
    'While Temporal is away a job may have 1.3 MB as normalized JSON. Move large data into files beside the playbook',
  );
}

function problemOf(error: unknown): unknown {
  if (error instanceof NoSlotError) {
    const detail = `Temporal is away, and the job can't run in the foreground: ${error.message}. Nothing was started; repeat the request later`;
    return new Problem('no-free-slot', detail, { headers: { 'retry-after': '5' } });
  }
  if (error instanceof NoSpaceError) return new Problem('storage-full', error.message);
  return error;
}
