/** The service can't start or can't go on, for a reason that the operator can mend. The message names it and the next step. */
export class StartError extends Error {
  override readonly name = 'StartError';
}
