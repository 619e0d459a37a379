import { createHash } from 'node:crypto';

/** Which attempt on which host. */
export interface TargetAttempt {
  host: string;
  runId: string;
  attempt: number;
}

/** The name of an attempt's folder on its host. The host is in it, because a home may be shared by several. */
export function targetIdOf({ host, runId, attempt }: TargetAttempt): string {
  return createHash('sha256')
    .update(JSON.stringify([host, runId, attempt]))
    .digest('hex')
    .slice(0, 32);
}

/** The environment entry that every process of an attempt on a host carries. */
export function targetMarkerOf(attempt: TargetAttempt): string {
  return `LONGHAUL_TASK=${targetIdOf(attempt)}`;
}
