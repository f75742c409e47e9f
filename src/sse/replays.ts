import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import { type Client, EVERY_RESOURCE, type Start, type Subscription } from './client.js';
import { connectedEvent, type EncodedEvent, healthEvent, retryAdvice, tableUpdate, withId } from './event-format.js';
import type { StreamCounts } from './stream-counts.js';

/** A client that resumes hears `connected` after this at the latest, in ms, also while the log can't be read. */
const CONNECTED_WITHIN_MS = 1000;

/** Tells clients what they have missed: those that come back, and those that subscribe from an earlier position. */
export class Replays {
  readonly #events = new WeakMap<LoggedChange, EncodedEvent>();
  readonly #feed: ChangeFeed;
  readonly #failures: FailureLog;
  readonly #counts: StreamCounts;
  readonly #heartbeatMs: number;

  /** @param heartbeatMs what `connected` says of the time between two heartbeats. */
  constructor(feed: ChangeFeed, logger: Logger, counts: StreamCounts, heartbeatMs: number) {
    this.#feed = feed;
    this.#failures = new FailureLog(logger);
    this.#counts = counts;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Says `connected`, a stream's first event. */
  greet(client: Client, resumed: boolean): void {
    const event = connectedEvent(client.id, resumed, this.#heartbeatMs);
    const unreadable = this.#feed.health.database ? '' : healthEvent(false);
    client.write(retryAdvice() + unreadable + withId(event, client.currentId));
  }

  /** Says `connected` to a client that comes back, and replays what it has missed. @param hold see `StreamRequest`. */
  async resume(client: Client, since: Start, subscriptions: readonly Subscription[], hold: boolean): Promise<void> {
    if (hold) client.hold(since);
    let greeted = false;
    const greetOnce = (resumed: boolean) => {
      if (!greeted) this.greet(client, resumed);
      greeted = true;
    };
    const late = setTimeout(() => greetOnce(false), CONNECTED_WITHIN_MS);
    await this.replay(client, since, subscriptions, (start) => {
      clearTimeout(late);
      if (start === 'lost' && hold) client.hold('lost');
      greetOnce(start !== 'lost');
    });
  }

  /**
   * Sends a client what it missed of these subscriptions: the changes since `start`, or else the advice to refetch.
   * @param found hears where the replay really started, before anything is sent.
   */
  async replay(
    client: Client,
    start: Start,
    subscriptions: readonly Subscription[],
    found?: (start: Start) => void,
  ): Promise<void> {
    client.beginReplay(start, subscriptions);
    try {
      const names = subscriptions.map(({ resource }) => resource);
      const every = names.includes(EVERY_RESOURCE);
      const reading =
        start === 'lost'
          ? undefined
          : await this.#feed.changesSince(start, every ? undefined : names).catch(() => undefined);
      const events: EncodedEvent[] = [];
      if (reading && !reading.lost) {
        found?.(start);
        for (const change of reading.changes) if (client.mayRead(change.resource)) events.push(this.#encoded(change));
        client.endReplay(events, subscriptions, reading.position);
      } else {
        this.#counts.resyncs += 1;
        const missed = every ? (await this.#feed.allResources()).filter((name) => client.mayRead(name)) : names;
        found?.('lost');
        for (const resource of missed) events.push(tableUpdate({ resource, reason: 'resync' }));
        client.endReplay(events, subscriptions);
      }
    } catch (error) {
      // The client comes back with the position that it has, and nothing is lost.
      this.#failures.happened('a client could not be told what it missed', error, { client: client.id });
      client.end('what it missed could not be read');
    }
  }
  /** Encoded once for all who missed it. */
  #encoded(change: LoggedChange): EncodedEvent {
    let event = this.#events.get(change);
    if (!event) {
      event = tableUpdate(change);
      this.#events.set(change, event);
    }
    return event;
  }
}
