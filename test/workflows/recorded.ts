/**
 * The runs whose histories are stored in `histories/`; `record.ts` records those that are missing. The first seven
 * were begun before jobs had search attributes, and the two of tasks before these told of hosts that have ended; they are kept as they are: a
 * worker of today has to continue such runs.
 */
export const recordedHistories = [
  'success',
  'failure',
  'crash',
  'cancel',
  'cancel-while-waiting',
  'cancel-before-start',
  'retry',
  'running',
  'running-canceled',
  'reset',
  'abandoned',
  'admitted',
  'node',
  'tenant',
  'steps',
  'step',
  'steps-canceled',
  'task',
  'task-with-late-host',
] as const;
