import type { Outcome, TargetEnd, TargetResult } from './outcome.js';

/** All outputs of a step together, as JSON; of a playbook see python/longhaul_attempt/outputs.py. */
export const mostOutputBytes = 64 * 1024;
const namedHosts = 10;

/**
 * What a task hands on: a mapping of each host to what it printed there.
 * @param name the variable's; undefined if it is to hand on nothing
 */
export function outputsOfTask(
  name: string | undefined,
  ends: Record<string, TargetEnd>,
): Pick<Outcome, 'outputs' | 'outputs_omitted'> {
  if (name === undefined) return {};
  const missing = Object.entries(ends).flatMap(([host, { status, printed }]) => {
    if (status !== 'successful' || (printed !== undefined && 'text' in printed)) return [];
    return `${host}: ${printed?.missing ?? 'it was not kept'}`;
  });
  const more = missing.length > namedHosts ? ', ...' : '';
  const why = missing.length > 0 ? `${missing.slice(0, namedHosts).join(', ')}${more}` : excessOf(ends);
  return why === undefined ? { outputs: { [name]: textsOf(ends) } } : { outputs_omitted: { [name]: why } };
}

/** The same, without what there is too much of to be told. */
export function boundedPrinted(ends: Record<string, TargetEnd>): Record<string, TargetEnd> {
  const missing = excessOf(ends);
  if (missing === undefined) return ends;
  return Object.fromEntries(
    Object.entries(ends).map(([host, end]) => [
      host,
      end.printed === undefined ? end : { ...end, printed: { missing } },
    ]),
  );
}

/** How it ended, alone. */
export function withoutPrinted(end: TargetEnd): TargetResult {
  const result = { ...end };
  delete result.printed;
  return result;
}

/** The same of each host. */
export function allWithoutPrinted(ends: Record<string, TargetEnd>): Record<string, TargetResult> {
  return Object.fromEntries(Object.entries(ends).map(([host, end]) => [host, withoutPrinted(end)]));
}

/** What hinders that all of it is handed on together. */
function excessOf(ends: Record<string, TargetEnd>): string | undefined {
  const encoder = new TextEncoder();
  const bytes = Object.entries(textsOf(ends)).reduce(
    (sum, text) => sum + encoder.encode(JSON.stringify(text)).length,
    0,
  );
  return bytes <= mostOutputBytes ? undefined : `it has ${bytes} bytes on all hosts, and may have ${mostOutputBytes}`;
}

function textsOf(ends: Record<string, TargetEnd>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(ends).flatMap(([host, { printed }]) =>
      printed !== undefined && 'text' in printed ? [[host, printed.text]] : [],
    ),
  );
}
