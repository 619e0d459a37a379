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
export function withKind(fields: readonly Field[]): (given: unknown) => unknown {
  return (given) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given) || 'kind' in given) return given;
    const field = fields.find((name) => name in given);
    return field === undefined ? given : { ...given, kind: kindOfField[field] };
  };
}
