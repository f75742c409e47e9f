import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import type { Client } from './client.js';
import { connectedEvent, type EncodedEvent, healthEvent, retryAdvice, tableUpdate, withId } from './event-format.js';
import { Replay, type Start } from './replay.js';
import type { StreamCounts } from './stream-counts.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** A client that resumes hears `connected` after this at the latest, in ms, also while the log can't be read. */
const CONNECTED_WITHIN_MS = 1000;

/** Tells clients what they have missed: those that come back, and those that subscribe from an earlier position. */
export class Replays {
  readonly #events = new WeakMap<LoggedChange, EncodedEvent>();
  /** The turn of each client that is being told. */
  readonly #turns = new Map<Client, Turn>();
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
   *
   * One replay of a client runs at a time, and the next one is for all that were asked for meanwhile. Its read begins when
   * the one before has been sent, so it never tells an older state of a row after a newer one.
   * @param found hears where the replay really started, before anything is sent. Only for a client's first replay.
   */
  async replay(
    client: Client,
    start: Start,
    subscriptions: readonly Subscription[],
    found?: (start: Start) => void,
  ): Promise<void> {
    const running = this.#turns.get(client);
    const turn = running ? (running.next ?? new Turn()) : new Turn();
    turn.replay.add(start, subscriptions);
    client.beginReplay(turn.replay, start);
    if (running) running.next = turn;
    else void this.#take(client, turn, start, found);
    await turn.ended;
  }

  /** Takes a turn, and all that are asked for meanwhile. */
  async #take(client: Client, first: Turn, start: Start, found?: (start: Start) => void): Promise<void> {
    let turn: Turn | undefined = first;
    while (turn) {
      this.#turns.set(client, turn);
      // A stream that has ended reads no more.
      if (!client.closed)
        await this.#tell(client, turn.replay, turn.replay.start ?? start, turn === first ? found : undefined);
      turn.end();
      turn = turn.next;
    }
    this.#turns.delete(client);
  }

  async #tell(client: Client, replay: Replay, start: Start, found?: (start: Start) => void): Promise<void> {
    try {
      const names = Array.from(replay.subscriptions(), ({ resource }) => resource);
      const every = names.includes(EVERY_RESOURCE);
      const reading =
        start === 'lost'
          ? undefined
          : await this.#feed.changesSince(start, every ? undefined : names).catch(() => undefined);
      const events: EncodedEvent[] = [];
      if (reading && !reading.lost) {
        found?.(start);
        for (const change of reading.changes) {
          if (client.authorize(change.resource) && replay.missed(change, client.subscriptions)) {
            events.push(this.#encoded(change));
          }
        }
        client.endReplay(replay, events, reading.position);
      } else {
        this.#counts.resyncs += 1;
        const missed = every ? (await this.#feed.allResources()).filter((name) => client.authorize(name)) : names;
        found?.('lost');
        for (const resource of missed) {
          if (replay.missed({ resource }, client.subscriptions))
            events.push(tableUpdate({ resource, reason: 'resync' }));
        }
        client.endReplay(replay, events);
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

/** One replay of a client, and the one that follows it. */
class Turn {
  readonly replay = new Replay();
  /** Resolves when it has been sent. */
  readonly ended: Promise<void>;
  next: Turn | undefined;
  end: () => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
  }
}
