import { CancellationScope, defineSignal, setHandler } from '@temporalio/workflow';
import { signals, type Abandonment, type NodeLost, type Placement } from '../job/protocol.js';
import type { Tasks } from '../job/outcome.js';
import type { JobSpec } from '../job/spec.js';

/** An attempt is not waited for any more, and why; `rerun` if another is to follow it whatever the retry policy says. */
export interface GivenUp {
  givenUp: string;
  rerun: boolean;
  /** How far it had come when it was last heard of. */
  tasks?: Tasks | null | undefined;
}

/** What can come between a run and its attempt: a cancel, an operator who abandons it, a node that stays away. */
export class Interruptions {
  /** Resolves, never rejects, when the run is to be canceled. */
  readonly canceled: Promise<'canceled'>;
  private isCanceledNow = false;
  private current: { placement: Placement; giveUp: (reason: GivenUp) => void } | undefined;

  /** To be made outside of any non-cancellable scope. */
  constructor(private readonly policy: JobSpec['on_node_lost']) {
    this.canceled = CancellationScope.current().cancelRequested.catch(() => {
      this.isCanceledNow = true;
      return 'canceled' as const;
    });
    setHandler(defineSignal<[Abandonment]>(signals.abandon), ({ attempt, reason, tasks }) => {
      if (this.current?.placement.attempt === attempt)
        this.current.giveUp({ givenUp: `Abandoned: ${reason}`, rerun: false, tasks });
    });
    setHandler(defineSignal<[NodeLost]>(signals.nodeLost), (lost) => this.nodeIsLost(lost));
  }

  get isCanceled(): boolean {
    return this.isCanceledNow;
  }

  /** Resolves when this attempt is given up; what is said of another one doesn't count. */
  givenUp(placement: Placement): Promise<GivenUp> {
    return new Promise((giveUp) => (this.current = { placement, giveUp }));
  }

  private nodeIsLost({ node, since, tasks }: NodeLost): void {
    if (this.policy === 'wait' || this.current?.placement.node !== node) return;
    this.current.giveUp({
      givenUp: `Nothing was heard of its node ${node} since ${since}, and the job said on_node_lost: ${this.policy}`,
      rerun: this.policy === 'rerun',
      tasks,
    });
  }
}
