import { createHash, randomBytes } from 'node:crypto';

/** A name for a job that was given none: unique, and later ones sort after earlier ones (the form of a UUID version 7). */
export function madeName(now = Date.now()): string {
  const random = randomBytes(10);
  random[0] = ((random[0] ?? 0) & 0x0f) | 0x70;
  random[2] = ((random[2] ?? 0) & 0x3f) | 0x80;
  const hex = now.toString(16).padStart(12, '0') + random.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The name that an Idempotency-Key stands for: the same for the same key. */
export function nameOfKey(key: string): string {
  return `key-${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
}
