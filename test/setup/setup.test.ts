import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/config.js';
import { pathWith, pythonStub, setUp, smallCheckout, writeSource } from './checkout.js';

describe('set-up without a usable Python says what is missing and what to install', () => {
  test('none on PATH', async () => {
    const { code, output } = await setUp(smallCheckout({ venv: false }), { PATH: pathWith({}) });
    expect(output).toContain('Longhaul needs Python 3.11 or newer');
    expect(output).toContain('None was found on PATH');
    expect(code).toBe(1);
  });

  test('a shim with nothing behind it, and one that is too old', async () => {
    const path = pathWith({ 'python3.13': 'exit 127', python3: pythonStub('3.9.18', { venv: true }) });
    const { code, output } = await setUp(smallCheckout({ venv: false }), { PATH: path });
    expect(output).toContain('Found only Python 3.9.18');
    expect(code).toBe(1);
  });

  test('one without the venv module', async () => {
    const path = pathWith({ python3: pythonStub('3.12.4', { venv: false }) });
    const { code, output } = await setUp(smallCheckout({ venv: false }), { PATH: path });
    expect(output).toContain('Python 3.12.4');
    expect(output).toContain('apt-get install python3.12-venv');
    expect(code).toBe(1);
  });

  test('a PYTHON that does not run', async () => {
    const { code, output } = await setUp(smallCheckout({ venv: false }), { PYTHON: '/nowhere/python' });
    expect(output).toContain('PYTHON=/nowhere/python does not run');
    expect(code).toBe(1);
  });
});

test('set-up with nothing to do prints nothing', async () => {
  expect(await setUp(packageRoot())).toEqual({ code: 0, output: '' });
});

describe('building', () => {
  test('a changed source is built again, an unchanged one is not', async () => {
    const checkout = smallCheckout({ venv: true });
    expect(await setUp(checkout)).toEqual({ code: 0, output: 'Building dist\n' });
    expect(await setUp(checkout)).toEqual({ code: 0, output: '' });
    writeSource(checkout, 'src/more.ts', 'export const more = 1;\n');
    expect(await setUp(checkout)).toEqual({ code: 0, output: 'Building dist\n' });
    expect(readdirSync(join(checkout, 'dist', 'src'))).toContain('more.js');
  });

  test('a source with a type error stops set-up, which names it and keeps the former build', async () => {
    const checkout = smallCheckout({ venv: true });
    await setUp(checkout);
    writeSource(checkout, 'src/wrong.ts', 'export const wrong: number = "text";\n');
    const { code, output } = await setUp(checkout);
    expect(output).toContain('src/wrong.ts');
    expect(code).toBe(1);
    expect(existsSync(join(checkout, 'dist', 'worker.js'))).toBe(true);
  });

  test('of two set-ups at once one builds, and the other waits and finds it done', async () => {
    const checkout = smallCheckout({ venv: true });
    const both = await Promise.all([setUp(checkout), setUp(checkout)]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(both.filter(({ output }) => output.includes('Building dist'))).toHaveLength(1);
    expect(existsSync(join(checkout, 'dist', 'workflow-bundle.js'))).toBe(true);
  });

  test('a set-up that is killed in the middle is repaired by the next', async () => {
    const checkout = smallCheckout({ venv: true });
    const killed = await setUp(checkout, {}, 'Building dist');
    expect(killed.code).toBeNull();
    expect(existsSync(join(checkout, 'dist'))).toBe(false);
    expect((await setUp(checkout)).code).toBe(0);
    expect(existsSync(join(checkout, 'dist', 'workflow-bundle.js'))).toBe(true);
    expect(readdirSync(join(checkout, '.setup'))).toEqual([]);
  });
});
