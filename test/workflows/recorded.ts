/** The runs whose histories are stored in `histories/`; `record.ts` makes them anew. */
export const recordedHistories = [
  'success',
  'failure',
  'crash',
  'cancel',
  'cancel-while-waiting',
  'cancel-before-start',
  'retry',
] as const;
