import { readRecord } from '../ansible/records.js';
import type { RunningLook } from '../ansible/watch.js';
import { secondsLeft, type PastRun } from '../job/eta.js';
import type { HostStats, Outcome } from '../job/outcome.js';
import type { AttemptRef, RunHeartbeat } from '../job/protocol.js';
import { PlaybookSpec } from '../job/kinds/playbook.js';
import { ProgressReader } from '../store/progress.js';
import { keyOf, type NodeContext } from './context.js';

/** Heartbeats go to Temporal's database again and again. */
const hostsBytes = 2_000;

/** How far an attempt is and when it will likely end, for heartbeats; and at its end, for those to come. */
export class AttemptProgress {
  private readonly reader: ProgressReader;
  private readonly folder: string;
  private known: { spec: PlaybookSpec; past: PastRun[] } | null | undefined;

  constructor(
    private readonly context: NodeContext,
    private readonly ref: AttemptRef,
  ) {
    this.folder = context.attempts.folderOf(keyOf(ref));
    this.reader = new ProgressReader(this.folder);
  }

  /** What is to be told of an attempt that runs. */
  async heartbeat({ startedAt, message: unusual }: RunningLook): Promise<RunHeartbeat> {
    await this.reader.update();
    const { percent, tasksDone, tasksTotal, message, hosts } = this.reader.progress;
    return {
      started_at: startedAt?.toISOString() ?? null,
      percent,
      tasks_done: tasksDone,
      tasks_total: tasksTotal,
      message: unusual ?? message,
      unusual: unusual !== null,
      play: this.reader.play,
      eta: await this.eta(startedAt, percent),
      hosts: boundedHosts(hosts, hostsBytes),
    };
  }

  /**
   * Notes how long a successful attempt took that was told of here while it ran. Nothing rests on it, so no failure of
   * the disk is one of the attempt.
   */
  async remember({ status, started_at, finished_at }: Outcome): Promise<void> {
    const { known } = this;
    if (status !== 'successful' || started_at === null || known == null) return;
    await this.reader.update();
    const seconds = Math.max(0.001, (Date.parse(finished_at) - Date.parse(started_at)) / 1000);
    const after = this.reader.reachedAfter;
    const reached = Array.from({ length: 9 }, (_, index) => Math.min(1, (after[index] ?? seconds) / seconds));
    try {
      await this.context.durations.add(keyOf(this.ref).tenant, known.spec, { seconds, reached });
    } catch (error) {
      this.context.log.warn({ err: error, folder: this.folder }, 'the duration of an attempt could not be noted');
    }
  }

  private async eta(startedAt: Date | null, percent: number | null): Promise<string | null> {
    const known = await this.work();
    if (startedAt === null || known === null) return null;
    const now = Date.now();
    const left = secondsLeft(known.past, { percent, elapsed: Math.max(0, (now - startedAt.getTime()) / 1000) });
    return left === undefined ? null : new Date(now + left * 1000).toISOString();
  }

  /** What is run and how long it took before; null where the attempt does not tell. */
  private async work(): Promise<{ spec: PlaybookSpec; past: PastRun[] } | null> {
    if (this.known !== undefined) return this.known;
    const spec = await readRecord(this.folder, 'spec.json', PlaybookSpec);
    if (spec === undefined || spec === 'corrupt') return (this.known = null);
    return (this.known = { spec, past: await this.context.durations.of(keyOf(this.ref).tenant, spec) });
  }
}

/** As many hosts as fit into `bytes` of JSON, those in trouble first, without the counters that are 0. */
function boundedHosts(hosts: Record<string, HostStats>, bytes: number): Record<string, Partial<HostStats>> {
  let left = bytes;
  const fitting = Object.entries(hosts)
    .sort(([, one], [, other]) => troubleOf(other) - troubleOf(one))
    .map(([host, counts]): [string, Partial<HostStats>] => [
      host,
      Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0)),
    ])
    .filter((entry) => left > 0 && (left -= Buffer.byteLength(JSON.stringify(entry))) > 0);
  return Object.fromEntries(fitting);
}

function troubleOf({ failures, unreachable, rescued, ignored }: HostStats): number {
  return failures + unreachable > 0 ? 2 : Math.min(1, rescued + ignored);
}
