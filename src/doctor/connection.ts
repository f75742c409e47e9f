import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { atMost } from '../at-most.js';
import { type FindPassword, sessionTo, withoutPassword } from '../database/address.js';
import { databaseFailure } from '../database/failure.js';
import type { Finding } from './finding.js';

/** The ways to the database. */
export interface Addresses {
  /** The address where writers connect. */
  readonly url: string;
  /** The address where servers listen. */
  readonly listenUrl: string;
  /** Finds the password of each connection, in the place of one in the addresses. */
  readonly password?: FindPassword | undefined;
}

/** The longest time that a notification may take, in ms. */
const ROUND_TRIP_MS = 3000;
/** Slower than this is worth a word, in ms. */
const SLOW_MS = 500;

/**
 * Sends a NOTIFY as a writer does, and waits for it where the server listens: one session for each address, as a server has.
 */
export async function checkRoundTrip({ url, listenUrl, password }: Addresses): Promise<Finding[]> {
  const about = 'LISTEN and NOTIFY';
  const cure =
    'set LISTEN_DATABASE_URL to an address that leads straight to the primary, past any pooler in transaction mode';
  const sessions = [listenUrl, url].map((each) => {
    const client = new pg.Client({
      ...sessionTo(each, { name: 'pg-change-feed doctor', password }),
      connectionTimeoutMillis: 5000,
    });
    client.on('error', () => {});
    return client;
  });
  const [session, mouth] = sessions as [pg.Client, pg.Client];
  try {
    await Promise.all(sessions.map((client) => client.connect()));
    const channel = `change_feed_doctor_${randomUUID().slice(0, 8)}`;
    const heard = new Promise<true>((resolve) => session.once('notification', () => resolve(true)));
    await session.query(`listen ${channel}`);
    const begun = performance.now();
    await mouth.query('select pg_notify($1, $2)', [channel, '']);
    const arrived = await atMost(ROUND_TRIP_MS, heard);
    const ms = Math.round(performance.now() - begun);
    if (!arrived) {
      return [
        {
          level: 'fail',
          about,
          says: `a NOTIFY was not heard within ${ROUND_TRIP_MS / 1000} s at ${withoutPassword(listenUrl)}`,
          cure,
        },
      ];
    }
    const says = `a round trip takes ${ms} ms`;
    return [
      ms < SLOW_MS
        ? { level: 'ok', about, says }
        : { level: 'warn', about, says, cure: 'look for a slow network, or a busy server' },
    ];
  } catch (error) {
    const failure = databaseFailure(error, listenUrl);
    return [{ level: 'fail', about, says: failure instanceof Error ? failure.message : String(failure), cure }];
  } finally {
    await Promise.all(sessions.map((client) => client.end().catch(() => {})));
  }
}

/** Looks for a pooler in transaction mode, through which sessions keep neither their settings nor their locks. */
export async function checkPooler({ listenUrl, password }: Addresses): Promise<Finding[]> {
  const about = 'pooler';
  const cure = 'set LISTEN_DATABASE_URL to the direct address of the same database';
  const client = new pg.Client({
    ...sessionTo(listenUrl, {
      name: 'pg-change-feed doctor',
      options: '-c plan_cache_mode=force_custom_plan',
      password,
    }),
    connectionTimeoutMillis: 5000,
  });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query(`select current_setting('plan_cache_mode') = 'force_custom_plan' as kept`);
    return [
      rows[0].kept
        ? { level: 'ok', about, says: 'none stands before the sessions of the feed' }
        : {
            level: 'fail',
            about,
            says: 'one stands before the database, and passes over the settings of sessions',
            cure,
          },
    ];
  } catch (error) {
    const failure = databaseFailure(error, listenUrl);
    return [{ level: 'fail', about, says: failure instanceof Error ? failure.message : String(failure), cure }];
  } finally {
    await client.end().catch(() => {});
  }
}
