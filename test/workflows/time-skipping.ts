import path from 'node:path';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { packageRoot } from '../../src/config.js';

const server = path.join(packageRoot(), '.venv', 'bin', 'temporal-test-server');
const tries = 5;

/** An environment on Temporal's test server. The SDK kills a server that does not answer within 5 s, as on a busy machine: then by another one. */
export async function timeSkipping(): Promise<TestWorkflowEnvironment> {
  for (let left = tries - 1; ; left--) {
    try {
      return await TestWorkflowEnvironment.createTimeSkipping({
        server: { executable: { type: 'existing-path', path: server } },
      });
    } catch (error) {
      if (left === 0 || !/ephemeral server .* did not start within/.test(String(error))) throw error;
    }
  }
}
