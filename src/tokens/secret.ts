import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TokenRecord } from './record.js';

const idBytes = 6;
const secretBytes = 32;
const tokenText = /^lh_([0-9a-f]{12})_([0-9a-f]{64})$/;

/** A new token: its id, the text that is given to its owner once, and the hash that is kept. */
export function mintToken(): { id: string; text: string; hash: string } {
  const id = randomBytes(idBytes).toString('hex');
  const secret = randomBytes(secretBytes).toString('hex');
  return { id, text: `lh_${id}_${secret}`, hash: hashOf(secret).toString('hex') };
}

/** The parts of a token's text, `lh_<id>_<secret>`; undefined if it is none. */
export function parseToken(text: string): { id: string; secret: string } | undefined {
  const [, id, secret] = tokenText.exec(text) ?? [];
  return id === undefined || secret === undefined ? undefined : { id, secret };
}

/** Whether `secret` is the token's own, compared in constant time. */
export function isSecretOf({ hash }: Pick<TokenRecord, 'hash'>, secret: string): boolean {
  return timingSafeEqual(Buffer.from(hash, 'hex'), hashOf(secret));
}

/**
 * One round of SHA-256 is enough: a secret of 256 random bits can't be found by trying, however fast the trying is. Slow
 * hashes and salts protect what people make up.
 */
function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
