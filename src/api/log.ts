import { pino, type DestinationStream, type Logger } from 'pino';

/** Where a token could get into the log, should a request or its headers ever be logged. */
const secret = ['authorization', 'headers.authorization', '*.headers.authorization'];

/** The log of the API's process. It never shows a token: callers are named by their tokens' ids. */
export function logOf(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: { process: 'api' }, redact: { paths: secret, censor: '[token]' } };
  return destination === undefined ? pino(options) : pino(options, destination);
}
