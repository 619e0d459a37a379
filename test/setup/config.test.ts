import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError, loadConfig, packageRoot } from '../../src/config.js';

test('without variables the service is a local one with an embedded Temporal', () => {
  const config = loadConfig({});
  expect(config).toMatchObject({ host: '127.0.0.1', port: 8000, syncMaxWaitMs: 600_000, minFreeBytes: 100_000_000 });
  expect(config.dataDir).toBe(join(packageRoot(), 'data'));
  expect(config.temporal).toEqual({
    address: '127.0.0.1:7233',
    embedded: true,
    namespace: 'default',
    port: 7233,
    uiPort: 8233,
  });
  expect(Object.isFrozen(config.temporal)).toBe(true);
});

test.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('only this machine reaches %s', (HOST) => {
  expect(loadConfig({ HOST })).toMatchObject({ host: HOST, loopback: true });
});

test.each(['0.0.0.0', '::', '0', '127.1', '::ffff:127.0.0.1', '192.0.2.1', 'localhost.example'])(
  'others may reach %s',
  (HOST) => {
    expect(loadConfig({ HOST })).toMatchObject({ host: HOST, loopback: false });
  },
);

test('tokens are in the data folder unless TOKENS_FILE names another file', () => {
  expect(loadConfig({ DATA_DIR: '/srv/data' }).tokens).toEqual({ file: '/srv/data/tokens.json', named: false });
  expect(loadConfig({ TOKENS_FILE: '/etc/callers.json' }).tokens).toEqual({ file: '/etc/callers.json', named: true });
});

test('durations are seconds, with fractions', () => {
  const config = loadConfig({ CONFIRM_INTERVAL: '0.25', KILL_GRACE: '0', HEARTBEAT_TIMEOUT: '3' });
  expect(config).toMatchObject({ confirmIntervalMs: 250, killGraceMs: 0, heartbeatTimeoutMs: 3000 });
});

test('an empty value counts as unset', () => {
  expect(loadConfig({ PORT: '', NODE_ID: ' ' })).toMatchObject({ port: 8000 });
});

test('a Temporal elsewhere is not embedded', () => {
  expect(loadConfig({ TEMPORAL_ADDRESS: 'temporal.example:7233' }).temporal).toMatchObject({
    address: 'temporal.example:7233',
    embedded: false,
  });
});

test.each([
  [{ HOST: 'http://here' }, /^HOST=http:\/\/here can't be used\. Allowed: an IP address of this machine/],
  [{ PORT: '70000' }, /^PORT=70000 can't be used\. Allowed: a port from 1 to 65535\.$/],
  [{ KILL_GRACE: '1m' }, /^KILL_GRACE=1m can't be used\. Allowed: seconds/],
  [{ NODE_ID: '../x' }, /^NODE_ID=\.\.\/x can't be used\. Allowed: 1 to 200 of/],
  [{ TEMPORAL_ADDRESS: 'nowhere' }, /^TEMPORAL_ADDRESS=nowhere can't be used\. Allowed: host:port/],
  [{ LOG_LEVEL: 'loud' }, /^LOG_LEVEL=loud can't be used\. Allowed: one of trace/],
  [{ PORT: '7233' }, /^PORT and TEMPORAL_PORT are both 7233/],
])('%j is refused with what is allowed', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError);
  expect(() => loadConfig(env)).toThrow(message);
});

test('all variables that can not be used are named at once', () => {
  expect(() => loadConfig({ PORT: 'x', LOG_LEVEL: 'y' })).toThrow(/^PORT=x .*\nLOG_LEVEL=y /);
});
