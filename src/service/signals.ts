import { readFileSync } from 'node:fs';

const hangup = 1;

/** The signals that ask us to end. SIGHUP isn't one when we were started with it ignored, as by nohup. */
export function endingSignals(): NodeJS.Signals[] {
  const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const hangupIgnored = (BigInt(`0x${ignored}`) & (1n << BigInt(hangup - 1))) !== 0n;
  return hangupIgnored ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];
}
