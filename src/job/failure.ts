import { z } from 'zod';

/** Why a job failed; what each kind means is told in docs/architecture.md. */
export const failureKinds = [
  'exit',
  'killed',
  'lost',
  'orphaned',
  'node_lost',
  'unreachable',
  'timed_out',
  'launch',
  'storage',
] as const;

export const FailureKind = z.enum(failureKinds);
export type FailureKind = z.infer<typeof FailureKind>;

export const Failure = z.object({
  kind: FailureKind,
  message: z.string(),
  signal: z.int().optional().describe('The signal that ended the process, with kind `killed`'),
});
export type Failure = z.infer<typeof Failure>;
