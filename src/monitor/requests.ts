import { z } from 'zod';
import { BUCKETS } from './report.js';

/** A question of one server to another for its monitor. Texts are hexadecimal: the database may be in any encoding. */
const request = z.discriminatedUnion('ask', [
  z.strictObject({ kind: z.literal('monitor'), ask: z.literal('state') }),
  z.strictObject({ kind: z.literal('monitor'), ask: z.literal('history'), last: z.int().min(1).max(BUCKETS) }),
  z.strictObject({ kind: z.literal('monitor'), ask: z.literal('streams'), search: z.string().max(800) }),
  z.strictObject({ kind: z.literal('monitor'), ask: z.literal('trace'), xid: z.string().max(30) }),
  z.strictObject({ kind: z.literal('monitor'), ask: z.literal('end'), client: z.string(), subject: z.string() }),
]);

/** A question of another server's monitor. */
export type MonitorRequest = z.infer<typeof request>;

/** Reads a question. @throws what zod throws where it is none. */
export function parseRequest(given: unknown): MonitorRequest {
  return request.parse(given);
}

/** Encodes an answer as JSON in ASCII, which a database in any encoding has. */
export function answerText(answer: unknown): string {
  return JSON.stringify(answer).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
