import { readRecord } from '../../ansible/records.js';
import { TargetResult } from '../../job/outcome.js';
import { isGivenUp } from '../../job/target-outcome.js';
import type { TargetsRef } from '../../job/target-protocol.js';
import { filesOf, type TargetContext } from './context.js';

/** Those places of an attempt where something of it may live: not where this node has seen that it ended by itself. */
export async function placesToEnd(context: TargetContext, ref: TargetsRef): Promise<TargetsRef['places']> {
  // Of what was adopted, processes may outlive the one that told how it ended.
  if (ref.spec.kind === 'adopt') return ref.places;
  const places = await Promise.all(
    Object.entries(ref.places).map(async ([host, place]) => {
      const known = await readRecord(filesOf(context, ref, host).folder, 'result.json', TargetResult);
      const isOver = known !== undefined && known !== 'corrupt' && known.status !== 'canceled' && !isGivenUp(known);
      return isOver ? [] : [[host, place] as const];
    }),
  );
  return Object.fromEntries(places.flat());
}
