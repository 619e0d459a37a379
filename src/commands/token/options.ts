import { InvalidArgumentError } from 'commander';
import { isName, nameRule } from '../../job/names.js';
import { scopes, type Scope } from '../../tokens/record.js';

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const maxNote = 200;

/** @throws InvalidArgumentError, as all functions here: commander shows its message with the option's name */
export function tenantOf(text: string): string {
  if (isName(text)) return text;
  throw new InvalidArgumentError(`A tenant has ${nameRule}.`);
}

/** A list separated by commas, each scope once. */
export function scopesOf(text: string): Scope[] {
  const given = text.split(',').map((part) => part.trim());
  const unknown = given.find((part) => !scopes.includes(part as Scope));
  if (unknown !== undefined)
    throw new InvalidArgumentError(`${JSON.stringify(unknown)} is none. There are ${scopes.join(', ')}.`);
  return scopes.filter((scope) => given.includes(scope));
}

/** The time of an end that is given as a length from now or as a time; RFC 3339 UTC. */
export function endOf(text: string): string {
  const end = timeOf(text);
  if (Number.isNaN(end.getTime()))
    throw new InvalidArgumentError('Give a length such as 30d, 12h or 90m, or a time such as 2027-01-31T00:00:00Z.');
  if (end.getTime() <= Date.now()) throw new InvalidArgumentError('That is not in the future.');
  return end.toISOString();
}

export function noteOf(text: string): string {
  if (text.length <= maxNote && !/\p{Cc}/u.test(text)) return text;
  throw new InvalidArgumentError(`A note is one line of at most ${maxNote} characters.`);
}

function timeOf(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (unit !== undefined) return new Date(Date.now() + Number(count) * unitMs[unit as keyof typeof unitMs]);
  // Without a zone it would mean another time on another machine.
  const isComplete = /^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/.test(text);
  return new Date(isComplete ? text : Number.NaN);
}
