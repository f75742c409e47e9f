import type pg from 'pg';

/** What a check has found. `fail`: changes are missed, or come late; `warn`: they may be; `info`: good to know. */
export interface Finding {
  readonly level: 'ok' | 'info' | 'warn' | 'fail';
  /** What was looked at: `triggers of public.anmeldung`. */
  readonly about: string;
  /** One sentence. */
  readonly says: string;
  /** What to run, or to set. */
  readonly cure?: string;
}

/** Looks at one topic, over a session with the database. */
export type Check = (client: pg.Client) => Promise<Finding[]>;

/** Whether the user of the session lacks a right: then a check can't say anything, and that is no failure of the feed. */
export function lacksRight(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42501';
}
