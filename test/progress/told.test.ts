import { expect, it } from 'vitest';
import type { TargetResult } from '../../src/job/outcome.js';
import { mostEndedHosts, notStarted, targetsTold } from '../../src/job/progress.js';

it('of many hosts those in trouble are told in whole, and in short where it has ended; nothing else', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const ended: TargetResult = { ...notStarted, status: 'successful', rc: 0, started_at: at, finished_at: at };
  const away: TargetResult = { ...notStarted, status: 'running', message: "can't be reached" };
  const names = (kind: string) => Array.from({ length: 40 }, (_, index) => `${kind}-${index}`);
  const hosts = {
    ...Object.fromEntries(names('done').map((host) => [host, ended])),
    ...Object.fromEntries(names('waits').map((host) => [host, notStarted])),
    away,
  };
  const told = targetsTold(hosts, mostEndedHosts);
  expect(told.away).toEqual({ status: 'running', message: "can't be reached" });
  for (const host of names('done')) expect(told[host]).toMatchObject({ status: 'successful', rc: 0, finished_at: at });
  expect(Object.values(told).filter(({ started_at }) => started_at !== undefined).length).toBeLessThan(20);
  expect(Object.keys(targetsTold(hosts)).length).toBeLessThan(20);
});
