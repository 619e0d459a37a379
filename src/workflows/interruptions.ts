import { CancellationScope, defineSignal, setHandler } from '@temporalio/workflow';
import type { PlaybookSpec } from '../job/kinds/playbook.js';
import { signals, type Abandonment, type NodeLost } from '../job/protocol.js';
import type { Tasks } from '../job/outcome.js';

/** An attempt is not waited for any more, and why; `rerun` if another is to follow it whatever the retry policy says. */
export interface GivenUp {
  givenUp: string;
  rerun: boolean;
  /** How far it had come when it was last heard of. */
  tasks?: Tasks | null | undefined;
  /** Not the attempt, but these of its hosts. */
  hosts?: string[] | undefined;
  /** How it stood on its hosts. */
  known?: Abandonment['known'];
}

/** What is watched: by which node (null: by any), as which attempt, on which hosts. */
interface Watched {
  node: string | null;
  attempt: number;
  hosts?: string[];
}

/** What can come between a run and its attempt: a cancel, an operator who abandons it, a node that stays away. */
export class Interruptions {
  /** Resolves, never rejects, when the run is to be canceled. */
  readonly canceled: Promise<'canceled'>;
  private isCanceledNow = false;
  private watched: { placement: Watched; giveUp: (reason: GivenUp) => void }[] = [];

  /** To be made outside of any non-cancellable scope. */
  constructor(private readonly policy: PlaybookSpec['on_node_lost']) {
    this.canceled = CancellationScope.current().cancelRequested.catch(() => {
      this.isCanceledNow = true;
      return 'canceled' as const;
    });
    setHandler(defineSignal<[Abandonment]>(signals.abandon), ({ attempt, reason, tasks, node, hosts, known }) => {
      const givenUp = { givenUp: `Abandoned: ${reason}`, rerun: false };
      const isWhole = (watched: Watched): boolean => (node === undefined ? hosts === undefined : watched.node === node);
      const isPart = (watched: Watched): boolean => watched.hosts?.some((host) => hosts?.includes(host)) === true;
      this.giveUp((watched) => watched.attempt === attempt && isWhole(watched), { ...givenUp, tasks });
      this.giveUp((watched) => watched.attempt === attempt && isPart(watched), { ...givenUp, hosts, known });
    });
    setHandler(defineSignal<[NodeLost]>(signals.nodeLost), (lost) => this.nodeIsLost(lost));
  }

  get isCanceled(): boolean {
    return this.isCanceledNow;
  }

  /** Resolves when this attempt, or part of one, is given up; what is said of another one doesn't count. */
  givenUp(placement: Watched): Promise<GivenUp> {
    this.watched = this.watched.filter((other) => other.placement.attempt === placement.attempt);
    return new Promise((giveUp) => this.watched.push({ placement, giveUp }));
  }

  private giveUp(which: (placement: Watched) => boolean, reason: GivenUp): void {
    for (const { placement, giveUp } of this.watched) if (which(placement)) giveUp(reason);
  }

  private nodeIsLost({ node, since, tasks }: NodeLost): void {
    if (this.policy === 'wait') return;
    this.giveUp((placement) => placement.node === node, {
      givenUp: `Nothing was heard of its node ${node} since ${since}, and the job said on_node_lost: ${this.policy}`,
      rerun: this.policy === 'rerun',
      tasks,
    });
  }
}
