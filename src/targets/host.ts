import type { TargetPlace } from '../job/target-protocol.js';

/** How Ansible reaches a host, and as whom. What is the same for two jobs is looked at together. */
export interface TargetHost {
  /** A host list, or the path of an inventory. */
  inventory: string;
  /** The path of a file with extra variables; null without. */
  extraVars: string | null;
  host: string;
  become: boolean;
  /** Whether it is this machine and, as far as the job doesn't say otherwise, this user. */
  local: boolean;
}

/** Tells one way to a host from another. */
export function keyOfHost({ inventory, extraVars, host, become, local }: TargetHost): string {
  return JSON.stringify([inventory, extraVars, host, become, local]);
}

/** `local` of a host where an attempt has that place. */
export function isLocal({ local, becomes }: Pick<TargetPlace, 'local' | 'becomes'>): boolean {
  return local && becomes !== true;
}

/** Whether nothing stands between this process and the files on the host: neither a connection nor another user. */
export function isHere({ local, become }: TargetHost): boolean {
  return local && !become;
}

/** A place where an attempt of ours is. */
export type OwnPlace = Extract<TargetPlace, { dir: string }>;
/** The place of a job that somebody else started. */
export type AdoptedPlace = Extract<TargetPlace, { adopted: object }>;
