/**
 * The runs whose histories are stored in `histories/`; `record.ts` records those that are missing. The first seven
 * were begun before jobs had search attributes, and are kept as they are: a worker of today has to continue such runs.
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
] as const;
