import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { HostOutput } from '../../src/targets/output.js';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function files(): Promise<{ stdout: string; stderr: string }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'longhaul-output-'));
  folders.push(folder);
  return { stdout: path.join(folder, 'stdout'), stderr: path.join(folder, 'stderr') };
}

const part = (from: number, text: string, size = from + text.length) => ({
  from,
  size,
  length: text.length,
  data: Buffer.from(text).toString('base64'),
});

it('what two copy at once is there once, and each goes on where it stands', async () => {
  const where = await files();
  const one = await HostOutput.open(where);
  const other = await HostOutput.open(where);
  for (const output of [one, other]) await output.take({ stdout: part(0, 'first ') });
  await one.take({ stdout: part(6, 'second ') });
  const later = await HostOutput.open(where);
  expect(later.offsets.stdout).toBe(13);
  await other.take({ stdout: part(6, 'second third') });
  await later.take({ stdout: part(13, 'third') });
  expect(await readFile(where.stdout, 'utf8')).toBe('first second third');
});

it('of an output that the disk refuses no more is asked for, whatever the other one does', async () => {
  // Every write to it is refused for want of space.
  const output = await HostOutput.open({ ...(await files()), stdout: '/dev/full' });
  await output.take({ stdout: part(0, 'lost', 1000), stderr: part(0, '') });
  expect(output.hasMore).toBe(false);
});

it('what a job printed is handed on as text if all of it is there', async () => {
  const printed = async (bytes: Buffer, stdout_bytes: number | undefined, most = 100) => {
    const output = await HostOutput.open(await files());
    await output.take({ stdout: { ...part(0, ''), size: bytes.length, data: bytes.toString('base64') } });
    output.isWhole({ rc: 0, signal: null, cause: null, at: 0, stdout_bytes });
    return output.printed(most);
  };
  expect(await printed(Buffer.from(' one\ntwo \r\n\n'), 12)).toEqual({ text: ' one\ntwo ' });
  expect(await printed(Buffer.from('\n'), 1)).toEqual({ text: '' });
  const incomplete = { missing: 'not all of it could be copied from the host' };
  // Its file can't be read any more, or has not all of it; or nobody knows how much there is.
  for (const bytes of [3, undefined]) expect(await printed(Buffer.from(''), bytes)).toEqual(incomplete);
  expect(await printed(Buffer.from('one'), 6)).toEqual(incomplete);
  expect(await printed(Buffer.from('one'), 3, 2)).toEqual({ missing: 'it has 3 bytes, and may have 2' });
  expect(await printed(Buffer.from([0x66, 0xfc, 0x72]), 3)).toEqual({ missing: 'it is not UTF-8' });
});
