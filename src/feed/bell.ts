import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import createSubscriber, { type Subscriber } from 'pg-listen';
import { OperatorError } from '../operator-error.js';

/** The channel of writers and servers alike. A notification says "look now", never what changed. */
export const CHANNEL = 'change_feed';

/** How long the round trip at start may take, in ms. */
const ROUND_TRIP_MS = 5000;

/** How long an answer may take before the connection counts as dead, in ms: a half-open one never says so itself. */
const SILENCE_MS = 3000;

/** What the bell says. */
export interface BellHandlers {
  /** Somebody rang: look now. The payload says at most who. */
  readonly onRing: (payload: string) => void;
  /** LISTEN is back after a loss: whatever rang meanwhile was not heard. */
  readonly onBack: () => void;
  /** The connection is lost; it is opened again, for ever, until {@link Bell.stop}. */
  readonly onLost: (attempt: number) => void;
  readonly onError: (error: Error) => void;
}

/** Hears NOTIFY on {@link CHANNEL} through pg-listen. */
export class Bell {
  readonly #subscriber: Subscriber;
  readonly #handlers: BellHandlers;
  readonly #awaited = new Map<string, () => void>();
  #listening = false;
  #stopped = false;

  /** @param databaseUrl goes straight to Postgres: LISTEN does not work through a pooler in transaction mode. */
  constructor(databaseUrl: string, handlers: BellHandlers) {
    this.#handlers = handlers;
    this.#subscriber = createSubscriber.default(
      {
        connectionString: databaseUrl,
        application_name: 'pg-change-feed bell',
        connectionTimeoutMillis: 5000,
        query_timeout: SILENCE_MS,
      },
      {
        // Anyone can NOTIFY our channel; the default, JSON.parse, would emit errors for what isn't JSON.
        parse: (payload: string) => payload,
        paranoidChecking: 2000,
        // By default it gives up after 3 s.
        retryTimeout: Number.POSITIVE_INFINITY,
        retryInterval: (attempt: number) => {
          // pg-listen has no other way to end the attempts of a subscriber that was closed meanwhile.
          if (this.#stopped) throw new Error('the bell is stopped');
          return Math.min(100 * 2 ** attempt, 2000);
        },
      },
    );
    const { events, notifications } = this.#subscriber;
    notifications.on(CHANNEL, (payload = '') => {
      this.#awaited.get(payload)?.();
      handlers.onRing(payload);
    });
    events.on('error', (error: Error) => {
      if (!this.#stopped) handlers.onError(error);
    });
    events.on('reconnect', (attempt: number) => {
      this.#listening = false;
      if (!this.#stopped) handlers.onLost(attempt);
    });
  }

  /** Whether the connection stands and listens, as far as is known. */
  get listening(): boolean {
    return this.#listening;
  }

  /**
   * Begins to listen.
   * @param ring sends a payload on {@link CHANNEL} over the connection of a writer, to prove the round trip.
   * @throws {OperatorError} when a notification doesn't get through, with what to set.
   */
  async start(ring: (payload: string) => Promise<unknown>): Promise<void> {
    await this.#subscriber.connect();
    await this.#subscriber.listenTo(CHANNEL);
    const hello = `hello ${randomUUID()}`;
    const heard = new Promise<true>((resolve) => this.#awaited.set(hello, () => resolve(true)));
    const waited = new AbortController();
    try {
      await ring(hello);
      const late = delay(ROUND_TRIP_MS, false as const, { signal: waited.signal }).catch(() => false as const);
      if (!(await Promise.race([heard, late]))) {
        throw new OperatorError(
          `A NOTIFY on the channel ${CHANNEL} was not heard within ${ROUND_TRIP_MS / 1000} s: set LISTEN_DATABASE_URL ` +
            'to an address that leads straight to the primary of the same database, not through a pooler in transaction mode.',
        );
      }
    } finally {
      waited.abort();
      this.#awaited.delete(hello);
    }
    this.#listening = true;
    this.#subscriber.events.on('connected', () => {
      if (this.#stopped) {
        void this.#close();
        return;
      }
      this.#listening = true;
      this.#handlers.onBack();
    });
  }

  /** Stops listening, and any attempt to connect again. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#listening = false;
    await this.#close();
  }

  async #close(): Promise<void> {
    // Ending a connection whose other side is gone may never be answered.
    await Promise.race([this.#subscriber.close().catch(() => {}), delay(1000, undefined, { ref: false })]);
  }
}
