import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import createSubscriber, { type Subscriber } from 'pg-listen';
import { atMost } from '../../at-most.js';
import { type FindPassword, sessionTo } from '../../database/address.js';
import { OperatorError } from '../../operator-error.js';
import { backoffMs, LONGEST_BACKOFF_MS } from '../backoff.js';

/**
 * The channel of writers and servers alike. Anybody with a login may listen, so a payload carries nothing to read: of a
 * writer it is empty, of a leader encrypted, of a call the id of its server or its own, of a question a word.
 */
export const CHANNEL = 'change_feed';

/** The payload of a writer. */
export const WRITERS = '';

/** A channel on which nobody notifies: to listen to it for a moment shows that a connection answers. */
const NO_CHANNEL = 'change_feed_nothing';

/** The time that ending a connection may take, in ms: one whose other side is gone is never answered. */
export const CLOSE_MS = 1000;

/** How long the round trip at start may take, in ms. */
const ROUND_TRIP_MS = 5000;

/** How long an answer may take before the connection counts as dead, in ms: a half-open one never says so itself. */
const SILENCE_MS = 2000;

/** The time between two looks whether a connection answers over which nothing is missed, in ms: each costs a query. */
const CHECK_MS = 30_000;

/** A notification. */
export interface Notification {
  readonly payload: string;
  /** The process id of the session that sent it, as Postgres says. */
  readonly pid: number;
}

/** Receives what the listener notices. */
export interface NotificationHandlers {
  readonly onNotification: (notification: Notification) => void;
  /** LISTEN is back after a loss: notifications sent meanwhile were lost. */
  readonly onReconnected: () => void;
  /** The connection is lost; it is opened again, for ever, until {@link NotificationListener.stop}. */
  readonly onLost: (attempt: number) => void;
  readonly onError: (error: Error) => void;
}

/** Receives NOTIFY on {@link CHANNEL} through pg-listen. */
export class NotificationListener {
  readonly #databaseUrl: string;
  readonly #handlers: NotificationHandlers;
  readonly #awaited = new Map<string, () => void>();
  #receivedAt = Number.NEGATIVE_INFINITY;
  #session: ListenSession;
  #listening = false;
  #stopped = false;
  readonly #password: FindPassword | undefined;
  /** Connections in a row that did not last. */
  #failures = 0;

  /**
   * @param databaseUrl goes straight to Postgres: LISTEN does not work through a pooler in transaction mode.
   * @param password finds that of each new connection. Default: that of the address.
   */
  constructor(databaseUrl: string, handlers: NotificationHandlers, password?: FindPassword) {
    this.#databaseUrl = databaseUrl;
    this.#password = password;
    this.#handlers = handlers;
    this.#session = this.#openSession();
  }

  /** Whether the connection stands and listens, as far as is known. */
  get listening(): boolean {
    return this.#listening;
  }

  /** The time at which the last notification was received, by performance.now(). */
  get receivedAt(): number {
    return this.#receivedAt;
  }

  /** Looks whether the connection answers, and opens another where it does not: something was missed. */
  async check(): Promise<void> {
    const session = this.#session;
    if (!this.#listening || session.isChecked) return;
    session.isChecked = true;
    try {
      await session.subscriber.listenTo(NO_CHANNEL);
      await session.subscriber.unlisten(NO_CHANNEL);
    } catch (error) {
      if (!session.closed && this.#listening) this.#replace(session, error as Error);
    } finally {
      session.isChecked = false;
    }
  }

  /**
   * Begins to listen.
   * @param notify sends a payload on {@link CHANNEL} over the connection of a writer, to prove the round trip.
   * @throws {OperatorError} when a notification doesn't get through, with what to set.
   */
  async start(notify: (payload: string) => Promise<unknown>): Promise<void> {
    await this.#listen(this.#session);
    const hello = randomUUID();
    const heard = new Promise<true>((resolve) => this.#awaited.set(hello, () => resolve(true)));
    try {
      await notify(hello);
      if (!(await atMost(ROUND_TRIP_MS, heard))) {
        throw new OperatorError(
          `A NOTIFY on the channel ${CHANNEL} was not heard within ${ROUND_TRIP_MS / 1000} s: set LISTEN_DATABASE_URL ` +
            'to an address that leads straight to the primary of the same database, not through a pooler in transaction mode.',
        );
      }
    } finally {
      this.#awaited.delete(hello);
    }
    this.#listening = true;
  }

  /** Stops listening, and any attempt to connect again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#listening = false;
    await this.#session.close();
  }

  async #listen(session: ListenSession): Promise<void> {
    await session.subscriber.connect();
    await session.subscriber.listenTo(CHANNEL);
    session.listens = true;
    session.connectedAt = performance.now();
  }

  #openSession(): ListenSession {
    const subscriber = createSubscriber.default(
      {
        ...sessionTo(this.#databaseUrl, {
          name: 'pg-change-feed listener',
          options: '-c search_path=pg_catalog,pg_temp',
          password: this.#password,
        }),
        connectionTimeoutMillis: 5000,
        query_timeout: SILENCE_MS,
      },
      {
        // Anyone can NOTIFY our channel; the default, JSON.parse, would emit errors for what isn't JSON.
        parse: (payload: string) => payload,
        paranoidChecking: CHECK_MS,
        // By default it gives up after 3 s.
        retryTimeout: Number.POSITIVE_INFINITY,
        retryInterval: (attempt: number) => {
          // pg-listen has no other way to end the attempts of a subscriber that was closed meanwhile.
          if (session.closed) throw new Error('this subscriber was closed');
          return backoffMs(attempt);
        },
      },
    );
    const session = new ListenSession(subscriber);
    subscriber.events.on('notification', ({ channel, payload = '', processId }) => {
      if (channel !== CHANNEL) return;
      this.#receivedAt = performance.now();
      this.#awaited.get(payload)?.();
      this.#handlers.onNotification({ payload, pid: processId });
    });
    subscriber.events.on('reconnect', (attempt: number) => {
      if (session.closed) return;
      this.#listening = false;
      this.#handlers.onLost(attempt);
      // pg-listen tries at once: a server that lets it in and closes then would be tried hundreds of times a second.
      if (attempt === 1 && session.listens && !session.lasted) {
        void session.close();
        void this.#replaceSession();
      }
    });
    subscriber.events.on('connected', () => {
      if (session.closed) {
        void session.close();
      } else if (session.listens) {
        session.connectedAt = performance.now();
        this.#listening = true;
        this.#handlers.onReconnected();
      }
    });
    subscriber.events.on('error', (error: Error) => {
      // It has connected again, and its LISTEN has failed, on a standby for one: it would not try that again.
      if (!session.closed) this.#replace(session, error);
    });
    return session;
  }

  #replace(session: ListenSession, error: Error): void {
    this.#handlers.onError(error);
    this.#listening = false;
    void session.close();
    if (session.listens) void this.#replaceSession();
  }

  /** Opens another subscriber, until one listens. */
  async #replaceSession(): Promise<void> {
    if (this.#session.lasted) this.#failures = 0;
    for (;;) {
      this.#failures += 1;
      await delay(backoffMs(this.#failures), undefined, { ref: false });
      if (this.#stopped) return;
      const session = this.#openSession();
      this.#session = session;
      try {
        await this.#listen(session);
        this.#listening = true;
        this.#handlers.onReconnected();
        return;
      } catch (error) {
        this.#handlers.onError(error as Error);
        await session.close();
      }
    }
  }
}

/** One subscriber of pg-listen. */
class ListenSession {
  /** LISTEN has succeeded once; from then on pg-listen repeats it on each connection. */
  listens = false;
  closed = false;
  /** True while somebody looks whether it answers. */
  isChecked = false;
  /** When it last began to listen, by performance.now(). */
  connectedAt = Number.POSITIVE_INFINITY;

  constructor(readonly subscriber: Subscriber) {}

  /** Whether its connection was of use for a while. */
  get lasted(): boolean {
    return performance.now() - this.connectedAt > LONGEST_BACKOFF_MS;
  }

  /** Ends its connection, and all attempts to connect again. One whose other side is gone may never be answered. */
  async close(): Promise<void> {
    this.closed = true;
    await atMost(
      CLOSE_MS,
      this.subscriber.close().catch(() => {}),
    );
  }
}
