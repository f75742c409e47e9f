import type pg from 'pg';

/** A fact that a check has found. `fail`: changes are missed, or come late; `warn`: they may be; `info`: good to know. */
export interface Finding {
  readonly level: 'ok' | 'info' | 'warn' | 'fail';
  /** The topic: `triggers of public.anmeldung`. */
  readonly about: string;
  /** One sentence. */
  readonly says: string;
  /** A statement or command to run, or a setting to make. */
  readonly cure?: string;
}

/** Looks at one topic, over a session with the database. */
export type Check = (client: pg.Client) => Promise<Finding[]>;

/** True where the user of the session lacks a right: then a check can't say anything, and that is no failure of the feed. */
function lacksRight(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === '42501';
}

/**
 * Makes a check that never throws: what the session's user may not look at is an `info`, and a query that fails a `fail`.
 * @param about the topic, for both.
 */
export function guarded(about: string, check: Check): Check {
  return async (client) => {
    try {
      return await check(client);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (lacksRight(error)) {
        return [
          {
            level: 'info',
            about,
            says: `can't be looked at as ${client.user}: ${error.message}`,
            cure: 'run doctor as the user who migrates',
          },
        ];
      }
      return [{ level: 'fail', about, says: `can't be looked at: ${error.message}` }];
    }
  };
}
