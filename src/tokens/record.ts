import { z } from 'zod';
import { namePattern, nameRule } from '../job/names.js';

/** What a token may be allowed. */
export const scopes = ['jobs:read', 'jobs:write', 'tasks:run', 'admin'] as const;
export type Scope = (typeof scopes)[number];

/** A token as the file keeps it: everything but its secret. Times are RFC 3339 UTC. */
export const TokenRecord = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/, 'must be 12 hexadecimal digits'),
  tenant: z.string().regex(namePattern, nameRule),
  scopes: z.array(z.enum(scopes)).min(1),
  /** SHA-256 of the secret (see secret.ts). */
  hash: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  note: z.string().max(200).optional(),
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime().optional(),
  revoked_at: z.iso.datetime().optional(),
});
export type TokenRecord = z.infer<typeof TokenRecord>;

/** The tokens file. Revoked tokens stay in it: the log names tokens by id, and a file that has had tokens never counts as empty. */
export const TokenList = z
  .strictObject({ version: z.literal(1), tokens: z.array(TokenRecord) })
  .refine(({ tokens }) => new Set(tokens.map(({ id }) => id)).size === tokens.length, 'two tokens have the same id');

/** Whether a token lets anybody in at `now`, in ms since 1970. */
export function standingOf({ revoked_at, expires_at }: TokenRecord, now = Date.now()): 'valid' | 'revoked' | 'expired' {
  if (revoked_at !== undefined) return 'revoked';
  return expires_at !== undefined && Date.parse(expires_at) <= now ? 'expired' : 'valid';
}

/** Whether a caller with these scopes may do what needs `wanted`. `admin` may do everything within its tenant. */
export function allows(given: readonly Scope[], wanted: Scope): boolean {
  return given.includes(wanted) || given.includes('admin');
}
