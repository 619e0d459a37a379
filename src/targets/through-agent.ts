import type { AnsibleAgent } from '../ansible/agent/agent.js';
import { AgentError } from '../ansible/agent/errors.js';
import type { Task, TaskResult } from '../ansible/agent/protocol.js';
import { endingModule, messageOf, type ModuleAnswer, type ModuleCall, type ModuleRunner, type ToEnd } from './calls.js';
import { UnusableInventoryError, type FindHosts, type FoundHost } from './found-hosts.js';
import { Gathering } from './gathering.js';

/** A host whose connection is frozen answers nothing for so long. */
const patience = { find: 60_000, run: 60_000, start: 180_000 };
/** What is done for many attempts, one after another. */
const starts = ['longhaul_prepare', 'longhaul_launch'];

/** Runs modules through Ansible, as it is loaded in the agent. */
export function modulesThrough(agent: AnsibleAgent): ModuleRunner {
  return {
    async run({ inventory, extraVars, host, become }, call, signal) {
      const timeoutMs = patienceFor(call);
      const request = { inventory, extra_vars: extraVars, host, become, tasks: [taskOf(call)] };
      try {
        const [result] = await agent.call(request, { timeoutMs, signal });
        return result === undefined ? { status: 'unreachable', reason: 'it gave no answer' } : answerOf(result);
      } catch (error) {
        return refusalOf(error, timeoutMs);
      }
    },
    async here({ module, args }, signal) {
      return answerOf(await agent.here({ module, args }, { timeoutMs: patienceFor({ module, args }), signal }));
    },
  };
}

/** Looks up hosts through the agent; who asks the same during a call is answered by the next one, together with others. */
export function findThrough(agent: AnsibleAgent): FindHosts {
  const lookups = new Gathering<null, FoundHost[]>({ items: Infinity, bytes: Infinity });
  const uncancelled = new AbortController().signal;
  return (inventory, extraVars, pattern) => {
    const find = async (asked: null[]): Promise<FoundHost[][]> => {
      const hosts = await findHosts(agent, inventory, extraVars, pattern);
      return asked.map(() => hosts);
    };
    return lookups.ask(JSON.stringify([inventory, extraVars, pattern]), null, find, uncancelled);
  };
}

async function findHosts(
  agent: AnsibleAgent,
  inventory: string,
  extraVars: string | null,
  pattern: string,
): Promise<FoundHost[]> {
  try {
    const { hosts } = await agent.hosts({ inventory, extra_vars: extraVars, pattern }, { timeoutMs: patience.find });
    return hosts;
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    if (error.kind === 'no_hosts') throw new UnusableInventoryError('hosts', error.message);
    if (error.kind === 'inventory') throw new UnusableInventoryError('inventory', error.message);
    throw error;
  }
}

/** A launch through Ansible's async carries what the host is to run; what is ended has its grace, twice at most. */
function patienceFor({ module, args, async }: Pick<ModuleCall, 'module' | 'args' | 'async'>): number {
  if (module === endingModule)
    return patience.run + 2 * 1000 * Math.max(0, ...(args.jobs as ToEnd[]).map(({ grace }) => grace));
  return async !== undefined || starts.includes(module) ? patience.start : patience.run;
}

function taskOf({ module, args, async = 0, asyncDir, environment = {} }: ModuleCall): Task {
  return { module, args, async, ...(asyncDir !== undefined && { async_dir: asyncDir }), environment };
}

function answerOf({ status, result }: TaskResult): ModuleAnswer {
  if (status === 'unreachable') return { status, reason: messageOf(result) };
  return { status: status === 'ok' ? 'ok' : 'failed', result };
}

/** What the agent can't do for this host, now or ever, as the host's answer; what is wrong with the agent itself is thrown. */
function refusalOf(error: unknown, timeoutMs: number): ModuleAnswer {
  if (!(error instanceof AgentError)) throw error;
  switch (error.kind) {
    case 'timeout':
      return { status: 'unreachable', reason: `it did not answer within ${timeoutMs / 1000} seconds` };
    case 'no_hosts':
    case 'inventory':
      return { status: 'unreachable', reason: error.message };
    case 'invalid':
      return { status: 'failed', result: { msg: error.message } };
    case 'died':
    case 'stopped':
    case 'internal':
      throw error;
  }
}
