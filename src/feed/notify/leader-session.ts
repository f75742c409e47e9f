import pg from 'pg';
import { atMost } from '../../at-most.js';
import { type FindPassword, sessionTo } from '../../database/address.js';
import { LONGEST_BACKOFF_MS } from '../backoff.js';
import { READER_SETTINGS } from '../log/session-settings.js';
import { CLOSE_MS } from './listener.js';

/** The time after which, in seconds, Postgres ends the session of a server that hangs, and another can lead. */
const HANGING_S = 4;

const SETTINGS = [
  READER_SETTINGS,
  `-c idle_session_timeout=${HANGING_S}s`,
  // Its notifications change nothing that a crash could lose, and a commit that waits for the disk holds up all notifiers.
  '-c synchronous_commit=off',
  '-c statement_timeout=3s -c lock_timeout=1s',
  // A host that is gone says nothing.
  '-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2',
].join(' ');

/** The options of a session. */
export interface LeaderSessionOptions {
  /** Straight to Postgres: the lock of a session does not work through a pooler in transaction mode. */
  readonly databaseUrl: string;
  /** Finds its password. Default: that of the address. */
  readonly password?: FindPassword | undefined;
  /** The longest time that an answer may take, in ms. */
  readonly answerMs: number;
  /** Called when the session has ended by itself. */
  readonly onGone: () => void;
}

/** The session that each server keeps: it leads, or tries to. */
export class LeaderSession {
  readonly #client: pg.Client;
  readonly #openedAt = performance.now();
  #gone = false;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  /** Opens a session. @throws what pg throws. */
  static async open({ databaseUrl, password, answerMs, onGone }: LeaderSessionOptions): Promise<LeaderSession> {
    const client = new pg.Client({
      ...sessionTo(databaseUrl, { name: 'pg-change-feed leader', options: SETTINGS, password }),
      connectionTimeoutMillis: answerMs,
      query_timeout: answerMs,
      keepAlive: true,
    });
    let session: LeaderSession | undefined;
    const end = () => {
      // One that never connected must not end the pause before the next attempt.
      if (!session || session.#gone) return;
      session.#gone = true;
      onGone();
    };
    client.on('error', end);
    client.on('end', end);
    await client.connect();
    session = new LeaderSession(client);
    return session;
  }

  /** Tells whether it has been open for a while: one that answers its first statements may refuse the next. */
  get lasted(): boolean {
    return performance.now() - this.#openedAt > LONGEST_BACKOFF_MS;
  }

  /** Runs a statement. @param name under which it is prepared; none unless given. @throws what pg throws. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = [], name?: string): Promise<Row[]> {
    if (this.#gone) throw new Error('The session is gone');
    return (await this.#client.query<Row>({ text, values, ...(name && { name }) })).rows;
  }

  /** Ends the session. */
  async close(): Promise<void> {
    this.#gone = true;
    await atMost(
      CLOSE_MS,
      this.#client.end().catch(() => {}),
    );
  }
}
