import { AnsibleAgent, type AgentOptions } from '../../src/ansible/agent/agent.js';
import type { RunRequest } from '../../src/ansible/agent/protocol.js';

/** agent-driver.ts OPTIONS CALLS: a node's process that has calls under way, to be killed. Prints `done N` for each that ends. */
const [options = '', calls = ''] = process.argv.slice(2);
const agent = new AnsibleAgent({
  ...(JSON.parse(options) as Omit<AgentOptions, 'log'>),
  log: (line) => process.stderr.write(`${line}\n`),
});
const requests = JSON.parse(calls) as Omit<RunRequest, 'verb'>[];
await Promise.all(
  requests.map(async (request, index) => {
    const results = await agent.call(request, { timeoutMs: 90_000 });
    process.stdout.write(`done ${index} ${JSON.stringify(results)}\n`);
  }),
);
