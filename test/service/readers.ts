import { setTimeout as delay } from 'node:timers/promises';

/** Reads a response to its end, in pieces that are let go at once; its size in bytes. */
async function drain(response: Response, pauseMs = 0, enough: () => boolean = () => false): Promise<number> {
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += (piece as Uint8Array).length;
    if (pauseMs > 0) await delay(pauseMs);
    if (enough()) break;
  }
  return size;
}

/**
 * Clients of every kind read a job, over and over, until `enough`: documents, tails, ranges, whole outputs fast and
 * slowly, and some that go away in the middle.
 * @param job the address of the job
 * @returns how many times each kind was served
 */
export async function readInEveryWay(job: string, enough: () => boolean): Promise<Record<string, number>> {
  const stdout = `${job}/stdout`;
  const part = (): Record<string, string> => {
    const start = Math.floor(Math.random() * 10_000_000);
    return { range: `bytes=${start}-${start + 1_000_000}` };
  };
  const kinds: Record<string, () => Promise<unknown>> = {
    document: async () => drain(await fetch(job)),
    otherDocument: async () => drain(await fetch(job)),
    tail: async () => drain(await fetch(`${stdout}?tail=1000`)),
    longTail: async () => drain(await fetch(`${stdout}?tail=20000`)),
    range: async () => drain(await fetch(stdout, { headers: part() })),
    otherRange: async () => drain(await fetch(stdout, { headers: part() })),
    whole: async () => drain(await fetch(stdout), 0, enough),
    slow: async () => drain(await fetch(stdout), 30, enough),
    slower: async () => drain(await fetch(stdout), 100, enough),
    leaving: async () => {
      const leave = new AbortController();
      const reader = (await fetch(stdout, { signal: leave.signal })).body?.getReader();
      await reader?.read();
      leave.abort();
    },
  };
  const served = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, 0]));
  const repeat = async ([kind, read]: [string, () => Promise<unknown>]): Promise<void> => {
    while (!enough()) {
      await read();
      served[kind] = (served[kind] ?? 0) + 1;
      await delay(20);
    }
  };
  await Promise.all(Object.entries(kinds).map(repeat));
  return served;
}
