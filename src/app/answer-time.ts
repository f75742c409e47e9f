import type { Socket } from 'node:net';
import type pg from 'pg';

/** The time that Postgres may take for an answer, in ms. */
export interface AnswerTime {
  /** To a statement outside of a transaction, and to the beginning of one. */
  readonly queryMs: number;
  /** To one in a transaction: a write may have to wait for a lock. */
  readonly writeMs: number;
}

/** Tells whether a statement begins or ends a transaction, in Kysely's words. */
const BEGINS = /^(begin|start transaction)\b/;
const ENDS = /^(commit|rollback)$/;

/**
 * Breaks a connection that leaves a statement without an answer: a half-open one reports no error by itself. The statement
 * fails with `Query read timeout`, and the pool removes the connection.
 * @param onLate called then.
 */
export function breakWhenLate(client: pg.ClientBase, { queryMs, writeMs }: AnswerTime, onLate: () => void): void {
  const query = client.query.bind(client) as (...given: unknown[]) => unknown;
  let writing = false;
  client.query = ((...given: unknown[]) => {
    const text = String(given[0]);
    const late = setTimeout(
      () => {
        breakConnection(client);
        onLate();
      },
      writing ? writeMs : queryMs,
    );
    writing = BEGINS.test(text) || (writing && !ENDS.test(text));
    const answer = query(...given);
    const answered = () => clearTimeout(late);
    if (answer instanceof Promise) answer.then(answered, answered);
    else answered();
    return answer;
  }) as typeof client.query;
}

/** Breaks a connection as the network would: pg fails its queries, and its pool removes it. */
export function breakConnection(client: pg.ClientBase): void {
  const { connection } = client as unknown as { readonly connection: { readonly stream: Socket } };
  connection.stream.destroy(new Error('Query read timeout'));
}
