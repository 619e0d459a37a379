import { z } from 'zod';

/** The kinds of work, by the field that says what is to be done. */
export const kindOfField = {
  playbook: 'playbook',
  command: 'task',
  task: 'task',
  adopt: 'adopt',
  steps: 'steps',
} as const;
type Field = keyof typeof kindOfField;

/** What was given, with the kind that one of these fields tells; specs of earlier versions have no other sign of it. */
export function withKind(fields: readonly Field[]): (given: unknown, context: z.RefinementCtx) => unknown {
  return (given, context) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given) || 'kind' in given) return given;
    const named = fields.filter((name) => name in given);
    const kinds = new Set(named.map((name) => kindOfField[name]));
    if (kinds.size > 1) {
      context.addIssue({ code: 'custom', path: [named[1] ?? ''], message: `give only one of ${named.join(', ')}` });
      return z.NEVER;
    }
    const [kind] = kinds;
    return kind === undefined ? given : { ...given, kind };
  };
}
