import { spawn } from 'node:child_process';
import path from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { loadConfig } from '../../src/config.js';
import { until } from './processes.js';
import { freePorts } from '../ports.js';

/** A Temporal server of somebody else's, in memory, with a namespace that drops closed runs soon. */
export interface TemporalServer {
  /** What a service needs to use it. */
  environment: { TEMPORAL_ADDRESS: string; TEMPORAL_NAMESPACE: string };
  client: Client;
  end: () => Promise<void>;
}

export async function startTemporal(retentionMs: number): Promise<TemporalServer> {
  const [port] = await freePorts(1);
  const dynamic = {
    'system.namespaceMinRetentionLocal': '1s',
    'history.retentionTimerJitterDuration': '0s',
    'history.transferProcessorUpdateAckInterval': '1s',
    'history.visibilityProcessorUpdateAckInterval': '1s',
  };
  const values = Object.entries(dynamic).flatMap(([key, value]) => ['--dynamic-config-value', `${key}="${value}"`]);
  const binary = path.join(path.dirname(loadConfig({}).python), 'temporal');
  const child = spawn(
    binary,
    ['server', 'start-dev', '--headless', '--ip', '127.0.0.1', '--port', String(port), ...values],
    { stdio: 'ignore' },
  );
  const address = `127.0.0.1:${port}`;
  const connection = await until('Temporal', async () => {
    if (child.exitCode !== null) throw new Error(`Temporal ended with ${child.exitCode}`);
    return Connection.connect({ address }).catch(() => undefined);
  });
  const namespace = 'brief';
  await until('the namespace', () =>
    connection.workflowService
      .registerNamespace({ namespace, workflowExecutionRetentionPeriod: msToTs(retentionMs) })
      .then(
        () => true,
        () => false,
      ),
  );
  return {
    environment: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: namespace },
    client: new Client({ connection, namespace }),
    end: async () => {
      await connection.close();
      child.kill('SIGKILL');
      await until('Temporal to end', () => child.exitCode !== null || child.signalCode !== null);
    },
  };
}
