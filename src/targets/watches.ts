import type { Logger } from 'pino';
import type { TargetCalls } from './calls.js';
import { keyOfHost, type TargetHost } from './host.js';
import { HostWatch, type Watched } from './host-watch.js';

/** The looks of this worker at all target hosts: one at a time at each, for all jobs that are there. */
export class Watches {
  private readonly hosts = new Map<string, HostWatch>();

  constructor(
    private readonly calls: TargetCalls,
    private readonly log: Logger,
  ) {}

  /** From now on the job is looked at, until the returned function is called. */
  add(host: TargetHost, watched: Watched): () => void {
    const key = keyOfHost(host);
    const watch = this.hosts.get(key) ?? new HostWatch(host, this.calls, this.log);
    this.hosts.set(key, watch);
    watch.add(watched);
    return () => {
      watch.remove(watched);
      if (watch.isIdle && this.hosts.get(key) === watch) this.hosts.delete(key);
    };
  }

  /** Looks at a host as soon as possible. */
  soon(host: TargetHost): void {
    this.hosts.get(keyOfHost(host))?.soon();
  }
}
