import { type LoggedChange, refetchOf } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { FailureLog } from '../feed/failure-log.js';
import type { Position } from '../feed/log/position.js';
import type { Logger } from '../logger.js';
import type { Client } from './client.js';
import { connectedEvent, type EncodedEvent, healthEvent, retryAdvice, tableUpdate, withId } from './event-format.js';
import { topicsToRefetch } from './refetch.js';
import { Replay, type Start } from './replay.js';
import { ReplayedEvents } from './replayed-events.js';
import { partsFor, partsOfScopes } from './scope-parts.js';
import { resourcesOf } from './scoped-topic.js';
import type { StreamCounts } from './stream-counts.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** The longest time until a client that resumes receives `connected`, in ms, also while the log can't be read. */
const CONNECTED_WITHIN_MS = 1000;

/** A timer that fires so late, in ms, shows that the event loop was busy. */
const BUSY_MS = 100;

/** Replays to clients what they have missed: to those that come back, and to those that subscribe from an earlier position. */
export class Replays {
  readonly #encoded = new WeakMap<LoggedChange, EncodedEvent>();
  /** Of what was read: all who missed the same share them. */
  readonly #replayed = new WeakMap<readonly LoggedChange[], ReplayedEvents>();
  /** The running turn of each client. */
  readonly #turns = new Map<Client, Turn>();
  readonly #feed: ChangeFeed;
  readonly #failures: FailureLog;
  readonly #counts: StreamCounts;
  readonly #heartbeatMs: number;

  /** @param heartbeatMs the time between two heartbeats, as `connected` tells it to clients. */
  constructor(feed: ChangeFeed, logger: Logger, counts: StreamCounts, heartbeatMs: number) {
    this.#feed = feed;
    this.#failures = new FailureLog(logger);
    this.#counts = counts;
    this.#heartbeatMs = heartbeatMs;
  }

  /** Sends `connected`, a stream's first event. */
  greet(client: Client, resumed: boolean): void {
    const event = connectedEvent(client.id, resumed, this.#heartbeatMs);
    const unreadable = this.#feed.health.database ? '' : healthEvent(false);
    client.write(retryAdvice() + unreadable + withId(event, client.currentId));
  }

  /** Sends `connected` to a client that comes back, and replays what it has missed. @param hold see `StreamRequest`. */
  async resume(client: Client, since: Start, subscriptions: readonly Subscription[], hold: boolean): Promise<void> {
    if (hold) client.hold(since);
    let greeted = false;
    const greetOnce = (resumed: boolean) => {
      if (!greeted) this.greet(client, resumed);
      greeted = true;
    };
    const due = performance.now() + CONNECTED_WITHIN_MS;
    let late = setTimeout(() => {
      // Where the event loop was busy for so long, the answer may have arrived, and "not resumed" would make the page refetch.
      if (performance.now() - due < BUSY_MS) greetOnce(false);
      else late = setTimeout(() => greetOnce(false), CONNECTED_WITHIN_MS);
    }, CONNECTED_WITHIN_MS);
    await this.replay(client, since, subscriptions, (start) => {
      clearTimeout(late);
      if (start === 'lost' && hold) client.hold('lost');
      greetOnce(start !== 'lost');
    });
  }

  /**
   * Sends a client what it missed of these subscriptions: the changes since `start`, or else the advice to refetch.
   *
   * One replay of a client runs at a time. The next one is for all that were asked for meanwhile, and its read begins when
   * the one before has been sent. So a client never receives an older state of a row after a newer one.
   * @param found receives where the replay really started, before anything is sent. Only for a client's first replay.
   */
  async replay(
    client: Client,
    start: Start,
    subscriptions: readonly Subscription[],
    found?: (start: Start) => void,
  ): Promise<void> {
    const running = this.#turns.get(client);
    const turn = running?.next ?? new Turn(running?.liveFrom ?? this.#feed.position);
    turn.replay.add(start, subscriptions);
    client.beginReplay(turn.replay, start);
    if (running) running.next = turn;
    else void this.#take(client, turn, start, found);
    await turn.ended;
  }

  /** Returns the position up to which a client has received every live change: those after it may wait for a replay. */
  sentTo(client: Client): Position {
    return this.#turns.get(client)?.liveFrom ?? this.#feed.position;
  }

  /** Takes a turn, and all that are asked for meanwhile. */
  async #take(client: Client, first: Turn, start: Start, found?: (start: Start) => void): Promise<void> {
    let turn: Turn | undefined = first;
    while (turn) {
      this.#turns.set(client, turn);
      // A stream that has ended reads no more.
      if (!client.closed)
        await this.#send(client, turn.replay, turn.replay.start ?? start, turn === first ? found : undefined);
      turn.end();
      turn = turn.next;
    }
    this.#turns.delete(client);
  }

  async #send(client: Client, replay: Replay, start: Start, found?: (start: Start) => void): Promise<void> {
    try {
      const topics = Array.from(replay.subscriptions(), ({ topic }) => topic);
      const wanted = topics.includes(EVERY_RESOURCE) ? undefined : resourcesOf(topics);
      const reading =
        start === 'lost' ? undefined : await this.#feed.changesSince(start, wanted).catch(() => undefined);
      if (reading && !reading.lost) {
        found?.(start);
        client.endReplay(replay, this.#eventsOf(reading.changes, client, replay), reading.position);
      } else {
        this.#counts.resyncs += 1;
        const missed = await topicsToRefetch(this.#feed, topics, client);
        found?.('lost');
        const events = missed
          .map((topic) => refetchOf(topic, 'resync'))
          .filter((change) => replay.missed(change, client.subscriptions))
          .map((change) => tableUpdate(change));
        client.endReplay(replay, new ReplayedEvents(events));
      }
    } catch (error) {
      // The client comes back with the position that it has, and nothing is lost.
      this.#failures.happened('a client could not be told what it missed', error, { client: client.id });
      client.end('what it missed could not be read');
    }
  }

  /** Makes the events of what a client missed, of whole resources and of the scopes that it does not have as a whole. */
  #eventsOf(changes: readonly LoggedChange[], client: Client, replay: Replay): ReplayedEvents {
    const current = client.subscriptions;
    const scopes = replay.scopes(client);
    if (scopes.length === 0 && replay.missedAll(current)) return this.#all(changes);
    const isWhole = (change: LoggedChange) => client.authorize(change.resource) && replay.missed(change, current);
    const whole = replay.hasWhole ? changes.filter(isWhole) : [];
    const except = new Set(whole);
    const parts = partsOfScopes(scopes, (scope) =>
      partsFor(scope, changes, { missed: (xid) => replay.missedOf(scope.text, xid, current), except }),
    );
    return new ReplayedEvents([...whole, ...parts].map((change) => this.#encode(change)));
  }

  /** Makes the events of all changes that were read, once for all who missed them. */
  #all(changes: readonly LoggedChange[]): ReplayedEvents {
    let events = this.#replayed.get(changes);
    if (!events) {
      events = new ReplayedEvents(changes.map((change) => this.#encode(change)));
      this.#replayed.set(changes, events);
    }
    return events;
  }

  /** Encodes a change once for all who missed it. */
  #encode(change: LoggedChange): EncodedEvent {
    let event = this.#encoded.get(change);
    if (!event) {
      event = tableUpdate(change);
      this.#encoded.set(change, event);
    }
    return event;
  }
}

/** One replay of a client, and the one that follows it. */
class Turn {
  readonly replay = new Replay();
  /** Resolves when it has been sent. */
  readonly ended: Promise<void>;
  next: Turn | undefined;
  end: () => void = () => {};

  /** @param liveFrom the feed's position when the first of the turns that follow one another began. */
  constructor(readonly liveFrom: Position) {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}
