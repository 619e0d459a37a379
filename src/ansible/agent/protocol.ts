import { z } from 'zod';

/** The lines between us and python/longhaul_agent. */

/** A module on a host. Nothing in it is templated. */
export interface Task {
  module: string;
  args: Record<string, unknown>;
  /** The time limit in seconds of Ansible's own async; 0: it is waited for. */
  async?: number;
  /** Where async keeps its files on the host. */
  async_dir?: string;
  environment?: Record<string, string>;
}

interface WithInventory {
  /** A path, or a host list as `ansible -i` takes it. */
  inventory: string;
  /** A JSON or YAML file of variables, whose values are data. */
  extra_vars: string | null;
}

/** Tasks on a host, one after another, also after a failed one. */
export interface RunRequest extends WithInventory {
  verb: 'run';
  host: string;
  become: boolean;
  tasks: Task[];
}

/** Which hosts a pattern means, and how each is reached. */
export interface HostsRequest extends WithInventory {
  verb: 'hosts';
  pattern: string;
}

/** What is asked on targets, asked of this machine as our own user, without Ansible. */
export interface HereRequest {
  verb: 'here';
  module: string;
  args: Record<string, unknown>;
}

export type Request = RunRequest | HostsRequest | HereRequest;

/** A task's end. `result` is what the module answered. */
export const TaskResult = z.object({
  task: z.int(),
  status: z.enum(['ok', 'failed', 'unreachable', 'skipped']),
  result: z.record(z.string(), z.unknown()),
});
export type TaskResult = z.infer<typeof TaskResult>;

/** A host: how it is reached, or why that can't be told. */
export const Host = z.union([
  z.object({ name: z.string(), connection: z.string(), shell: z.string(), becomes: z.boolean() }),
  z.object({ name: z.string(), error: z.string() }),
]);
export type Host = z.infer<typeof Host>;

const errorKinds = ['timeout', 'died', 'stopped', 'inventory', 'no_hosts', 'invalid', 'internal'] as const;
export type ErrorKind = (typeof errorKinds)[number];

export const Hosts = z.object({ hosts: z.array(Host), warnings: z.array(z.string()) });
export type Hosts = z.infer<typeof Hosts>;

const Done = z.object({
  done: z.literal(true),
  error: z.object({ kind: z.enum(errorKinds), msg: z.string() }).nullable(),
});

const Id = z.object({ id: z.int() });

/** What the agent says of a request. */
export const Answer = z.union([
  Id.extend(TaskResult.shape),
  Id.extend(Hosts.shape),
  Id.extend(Done.shape),
  Id.extend({ stale: z.literal(true) }),
]);
export type Answer = z.infer<typeof Answer>;
export type Done = z.infer<typeof Done>;

/** What it says of itself: it is ready; or a line of ours could not be read. */
export const Notice = z.union([
  z.object({ ready: z.literal(true), ansible: z.string() }),
  Done.extend({ id: z.null() }),
]);
