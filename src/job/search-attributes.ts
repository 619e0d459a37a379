import type { JobInput } from './protocol.js';

/**
 * How jobs are found in Temporal, by the API and in its Web UI. Fixed: Temporal on SQL has room for ten attributes of the
 * type Keyword in a namespace, and three of each other type.
 */
export const searchAttributeTypes = {
  tenant: 'keyword',
  workspace: 'keyword',
  playbook: 'keyword',
  playbook_name: 'keyword',
  name: 'keyword',
  kind: 'keyword',
  status: 'keyword',
  failure: 'keyword',
  node: 'keyword',
  schedule: 'keyword',
  /** The end of the job plus its `ttl`; a run without it is open, or was closed by somebody else. */
  expires_at: 'datetime',
} as const;

export type SearchAttribute = keyof typeof searchAttributeTypes;

/** Values of search attributes, in the shape that Temporal's clients take. */
export type SearchAttributeValues = Partial<Record<SearchAttribute, string[] | Date[]>>;

/** Visibility cuts keywords at 255 characters on some databases: names never get there, a playbook's path may. */
const keywordCharacters = 255;

/** The attributes that a run has from its start. */
export function attributesAtStart({ tenant, playbook_name, name, spec }: JobInput): Record<string, string[]> {
  return {
    tenant: [tenant],
    workspace: [spec.workspace],
    playbook_name: [playbook_name],
    name: [name],
    kind: [spec.kind],
    ...(spec.kind === 'playbook' && { playbook: [playbookAttribute(spec.playbook)] }),
    status: ['pending'],
  };
}

/**
 * A playbook's path as its attribute has it: as it is, but for characters that visibility can't compare (and %), which are
 * %XX there. Of a path that is too long the beginning is kept, with a % that no whole one ends with.
 */
export function playbookAttribute(playbook: string): string {
  const whole = comparable(playbook);
  return whole.length <= keywordCharacters ? whole : `${whole.slice(0, keywordCharacters - 1)}%`;
}

/** Whether a playbook's attribute tells it from all others. */
export function hasWholeAttribute(playbook: string): boolean {
  return comparable(playbook).length <= keywordCharacters;
}

function comparable(playbook: string): string {
  return playbook.replace(
    /[%'"\\\p{Cc}\p{Cs}]/gu,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
