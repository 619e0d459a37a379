import { setCurrentDetails, upsertMemo, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { inBrief } from '../job/brief.js';
import type { Outcome, TargetResult } from '../job/outcome.js';
import { targetsTold } from '../job/progress.js';
import {
  toldSilences,
  type AttemptRecord,
  type JobInput,
  type JobMemo,
  type JobProgress,
  type Milestone,
  type NodeSilence,
} from '../job/protocol.js';
import type { SearchAttributeValues } from '../job/search-attributes.js';
import { detailsOf } from './details.js';
import { tellJob } from './tell-job.js';
import { hasSearchAttributes, keepsNodeOfAttempt, tellsJobOfEndedHosts, tellsOfEndedHosts } from './version.js';

/**
 * Where a run shows how it stands: the progress query, the memo (which answers a GET), the search attributes (which answer
 * lists) and the current details (which people read in Temporal's Web UI).
 */
export class Board {
  readonly progress: JobProgress = { stage: 'placing', placement: null, attempts: [] };
  private readonly hasAttributes = hasSearchAttributes();
  private milestone: Milestone | null = null;
  private note: string | null = null;
  private silence: { since: string; isOver: boolean } | null = null;
  private silences = 0;
  private hostsEnded: Record<string, TargetResult> = {};

  constructor(private readonly input: JobInput) {
    this.show();
  }

  awaitsAdmission(limit: number): void {
    this.progress.stage = 'admission';
    this.note = `its tenant has ${limit} job(s) placed or running, which is the limit (MAX_CONCURRENT_PER_TENANT)`;
    upsertMemo({ tenant_limit: limit });
    this.show();
  }

  isAdmitted(): void {
    this.note = null;
    upsertMemo({ tenant_limit: null });
  }

  placing(): void {
    this.progress.stage = 'placing';
    this.show();
  }

  /** @param node null where any node can reach it */
  placed(node: string | null, attempt: number): void {
    const { placement } = this.progress;
    const before = placement?.attempt === attempt ? placement : null;
    if (before === null) this.milestone = null;
    // Of an attempt in several parts, the node that alone can watch one of them.
    const ofOtherPart = node === null && before?.node != null && keepsNodeOfAttempt() ? before.node : null;
    this.progress.placement = { node: node ?? ofOtherPart, attempt };
    this.progress.stage = 'running';
    this.silence = null;
    upsertMemo({ placement: this.progress.placement, retry_at: null });
    if (node !== null) this.attribute({ node: [node] });
    this.show();
  }

  /**
   * It was started, or has come far. What is said of another attempt than the current one is late.
   * @returns whether nothing was known yet of the attempt's start
   */
  reached(milestone: Milestone): boolean {
    if (this.progress.placement?.attempt !== milestone.attempt || this.progress.stage !== 'running') return false;
    const isNews = this.milestone === null;
    if (isNews) this.attemptStarted(milestone.started_at);
    this.milestone = milestone;
    this.show();
    return isNews;
  }

  /** Nothing is heard of its node. */
  nodeIsSilent({ node, since, heard }: NodeSilence): void {
    if (!this.isOn(node) || this.silence?.since === since) return;
    this.silence = { since, isOver: false };
    this.silences += 1;
    if (heard !== null && this.milestone !== null) this.milestone = { ...this.milestone, ...heard, at: since };
    upsertMemo({ silences: this.silences });
    this.show();
  }

  nodeIsBack(node: string): void {
    if (!this.isOn(node) || this.silence === null) return;
    // Of another one it won't be told, so that nobody may take it for live from now on.
    this.silence = this.silences < toldSilences ? null : { ...this.silence, isOver: true };
    this.show();
  }

  /** When the current attempt was started, as far as its node has told. */
  get startedAt(): string | null {
    return this.milestone?.started_at ?? null;
  }

  /** On these hosts the attempt has ended, and it goes on on others or waits for them. */
  endedOn(results: Record<string, TargetResult>): void {
    if (!tellsOfEndedHosts()) return;
    Object.assign(this.hostsEnded, results);
    const start = Object.values(results).find(({ started_at }) => started_at !== null)?.started_at;
    // Where it was over so soon that nobody has told of its start.
    if (start != null && this.milestone === null) {
      this.attemptStarted(start);
      const { step } = this.input;
      if (step !== undefined && tellsJobOfEndedHosts()) tellJob(this.input, step, start);
    }
    const count = Object.keys(this.hostsEnded).length;
    upsertMemo({ hosts_ended: { count, targets: targetsTold(this.hostsEnded) } });
  }

  canceling(): void {
    this.progress.stage = 'ending';
    this.attribute({ status: ['canceling'] });
    this.show();
  }

  /** The current attempt has an outcome. */
  attemptEnded({ attempt, node, outcome }: AttemptRecord): void {
    // What hosts did in earlier attempts stays in their folders: the memo must stay small.
    this.progress.attempts = [...this.progress.attempts, { attempt, node, outcome: inBrief(outcome) }];
  }

  /** What its node reported of an attempt that had been given up. */
  reportedLate(number: number, outcome: Outcome): void {
    const late = inBrief(outcome);
    this.progress.attempts = this.progress.attempts.map((record) =>
      record.attempt === number ? { ...record, late } : record,
    );
    upsertMemo({ attempts: this.progress.attempts });
  }

  /** @param at RFC 3339; when the next attempt is due */
  retryAt(at: string): void {
    this.progress.stage = 'waiting';
    this.note = `attempt ${this.progress.attempts.length + 1} is due at ${at}`;
    const { attempts } = this.progress;
    upsertMemo({ placement: null, started_at: null, retry_at: at, attempts, ...this.withoutEndedHosts() });
    this.attribute({ status: ['pending'] });
    this.show();
    this.note = null;
  }

  ended(outcome: Outcome): void {
    this.progress.stage = 'ended';
    const { placement, attempts } = this.progress;
    const final: Partial<JobMemo> = { placement, retry_at: null, attempts, outcome, ...this.withoutEndedHosts() };
    upsertMemo({ ...final });
    const failure = outcome.status === 'failed' ? [outcome.failure.kind] : [];
    const expires_at = [new Date(Date.now() + this.input.spec.ttl * 1000)];
    const node = attempts.at(-1)?.node;
    this.attribute({ status: [outcome.status], failure, expires_at, ...(node != null && { node: [node] }) });
    this.show(outcome);
  }

  /** The outcome of the attempt has them. */
  private withoutEndedHosts(): Pick<JobMemo, 'hosts_ended'> {
    const isTold = Object.keys(this.hostsEnded).length > 0;
    this.hostsEnded = {};
    return isTold ? { hosts_ended: null } : {};
  }

  private isOn(node: string): boolean {
    const { stage, placement } = this.progress;
    return (stage === 'running' || stage === 'ending') && placement?.node === node;
  }

  private attemptStarted(started_at: string): void {
    this.attribute({ status: ['running'] });
    if (this.hasAttributes) upsertMemo({ started_at });
  }

  private attribute(values: SearchAttributeValues): void {
    if (this.hasAttributes) upsertSearchAttributes(values);
  }

  private show(outcome?: Outcome): void {
    const { input, progress, milestone, silence, note } = this;
    // One that has run in the foreground has its evidence by its name.
    const evidenceRunId = input.foreground === undefined ? workflowInfo().originalExecutionRunId : input.name;
    setCurrentDetails(detailsOf({ input, evidenceRunId, progress, milestone, silence, note, outcome }));
  }
}
