/**
 * Conditions of Temporal's visibility, which lists workflows. They are written here only, so that what a caller gives is
 * never more than a value in a query.
 */

/** What no workflow fulfils: none is without an ID. */
const nothing = "WorkflowId = ''";

/**
 * Temporal takes quotes off both ends of a value, hands `"`, `\` and control characters to its databases in a form that they
 * read differently, fails on NUL and replaces halves of a character. No attribute of a job is stored with any of these (see
 * `playbookAttribute`), so a value that has them equals none.
 */
const incomparable = /['"\\\p{Cc}\p{Cs}]/u;

/** The attribute has this value. */
export function equals(attribute: string, value: string): string {
  return isOneOf(attribute, [value]);
}

/** The attribute begins with this. */
export function startsWith(attribute: string, value: string): string {
  return incomparable.test(value) ? nothing : `${attribute} STARTS_WITH ${quoted([value])}`;
}

/** The attribute has one of these values. */
export function isOneOf(attribute: string, values: readonly string[]): string {
  const comparable = values.filter((value) => !incomparable.test(value));
  return comparable.length === 0 ? nothing : `${attribute} IN (${quoted(comparable)})`;
}

/** The attribute has another value than these; a workflow that doesn't have the attribute isn't found. */
export function isNoneOf(attribute: string, values: readonly string[]): string {
  return `${attribute} NOT IN (${quoted(values)})`;
}

/** The attribute has a value. */
export function isSet(attribute: string): string {
  return `${attribute} IS NOT NULL`;
}

/** The attribute has no value. */
export function isUnset(attribute: string): string {
  return `${attribute} IS NULL`;
}

/** The time is the given one or later. @param time RFC 3339 */
export function isFrom(attribute: string, time: string): string {
  return `${attribute} >= ${quoted([time])}`;
}

/** The time is before the given one. @param time RFC 3339 */
export function isBefore(attribute: string, time: string): string {
  return `${attribute} < ${quoted([time])}`;
}

/** The workflow has not ended; a paused one hasn't either. */
export const isOpen = isUnset('CloseTime');

/** All of these hold. */
export function all(...conditions: string[]): string {
  return conditions.map((condition) => `(${condition})`).join(' AND ');
}

/** One of these holds. */
export function any(...conditions: string[]): string {
  return conditions.map((condition) => `(${condition})`).join(' OR ');
}

/** Escaped as the parser of the language has it, whatever is known of the values. */
function quoted(values: readonly string[]): string {
  return values.map((value) => `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join(', ');
}
