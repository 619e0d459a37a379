import { markerOf, type AttemptKey } from './folders.js';

/**
 * The environment of an attempt's processes. It is handed on, never written to disk: it may hold credentials.
 * @param cwd the folder that they start in
 */
export function environmentOf(
  key: AttemptKey,
  common: Readonly<Record<string, string>>,
  cwd: string,
): Record<string, string> {
  const [name = '', value = ''] = markerOf(key).split('=');
  return { ...common, PWD: cwd, [name]: value };
}

/**
 * The environment that playbooks get: the worker's own (PATH, HOME, SSH_AUTH_SOCK, proxies ...) without the service's
 * settings and what npm put there.
 * @param own names of the service's settings
 */
export function playbookEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  own: readonly string[],
): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      !own.includes(entry[0]) &&
      entry[0] !== 'INIT_CWD' &&
      !entry[0].startsWith('npm_') &&
      !entry[0].startsWith('LONGHAUL_'),
  );
  return Object.fromEntries(kept);
}
