import type { Writable } from 'node:stream';
import type { LoggedChange } from '../change.js';
import { writePosition } from '../feed/log/epochs.js';
import { hasSeen, isAtLeast, type Position } from '../feed/log/position.js';
import { EventBatch, eventBatchOf, MAX_EVENTS } from './event-batch.js';
import { type EncodedEvent, heartbeat, tableUpdate } from './event-format.js';
import { earlier, type Replay, type Start, WaitingChanges } from './replay.js';
import type { EndReason, StreamCounts } from './stream-counts.js';
import { endStreamSocket, resetStreamSocket } from './stream-socket.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** A client whose socket has so many bytes waiting is full. */
const MAX_BUFFERED = 65_536;
/** Answers of `authorize` that are remembered; a client may ask for names without end. */
const MAX_REMEMBERED = 1000;
/** The same in writes: each costs the process memory, though its bytes are shared with other clients. */
const MAX_WRITES = 64;

/** The id of what can't be resumed: no position parses from it, so a stream that is cut here is still lost. */
const LOST_ID = 'resync';

/** What a stream is opened with. */
export interface ClientOptions {
  readonly id: string;
  /** Whose stream it is: the token's `sub`. */
  readonly subject: string;
  /** Where its bytes go, with the headers sent. */
  readonly socket: Writable;
  /** Whether this client may hear of a resource. Asked once for each. */
  readonly authorize: (resource: string) => boolean;
  /** The same for all clients of a server. */
  readonly shared: SharedByClients;
}

/** What is the same for all clients of a server. */
export interface SharedByClients {
  /** How far the server has told its clients. */
  readonly livePosition: () => Position;
  /** The same as an id. */
  readonly liveId: () => string;
  /** How long a stream keeps the position with which it arrived, in ms. */
  readonly holdMs: number;
  /** A client whose socket stays full for this long is cut off, in ms. */
  readonly stallMs: number;
  readonly counts: StreamCounts;
}

/** One client's stream: what it is subscribed to, where it stands, and what it can't take yet. */
export class Client {
  readonly id: string;
  readonly subject: string;
  /** By performance.now(). */
  readonly openedAt = performance.now();
  readonly subscriptions = new Map<string, Subscription>();
  /** Why this side ended the stream; absent where the other side did. */
  endedBy: EndReason | undefined;
  readonly #authorize: (resource: string) => boolean;
  readonly #shared: SharedByClients;
  readonly #socket: Writable;
  // Made when they are needed: ten thousand idle clients need none of them.
  #authorized: Map<string, boolean> | undefined;
  /** Replays that run, or are about to. */
  #replays: Set<Replay> | undefined;
  #waiting: WaitingChanges | undefined;
  #replayed: Set<Subscription> | undefined;
  #outgoing: EventBatch | undefined;
  /** Writes that wait in a socket which is not empty. */
  #writes = 0;
  /** Set while the socket is full: the resources that changed meanwhile. */
  #behind: Set<string> | undefined;
  #cutOff: NodeJS.Timeout | undefined;
  /** Set while ids stay at an earlier position. */
  #held: { readonly start: Start; readonly until: number } | undefined;

  constructor({ id, subject, socket, authorize, shared }: ClientOptions) {
    this.id = id;
    this.subject = subject;
    this.#authorize = authorize;
    this.#shared = shared;
    this.#socket = socket;
  }

  /** Whether the stream has ended. */
  get closed(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** Of how many resources it has to be told once it reads again. */
  get behind(): number {
    return this.#behind?.size ?? 0;
  }

  /** Whether this client may hear of a resource. */
  authorize(resource: string): boolean {
    this.#authorized ??= new Map();
    let authorized = this.#authorized.get(resource);
    if (authorized === undefined) {
      authorized = this.#authorize(resource);
      if (this.#authorized.size >= MAX_REMEMBERED) this.#authorized.clear();
      this.#authorized.set(resource, authorized);
    }
    return authorized;
  }

  /**
   * Keeps every id where the stream arrived, for a while: subscriptions by POST are gone after an automatic reconnect, and
   * a stream that is cut before they are back has to start from there again.
   */
  hold(start: Start): void {
    this.#held = { start, until: performance.now() + this.#shared.holdMs };
  }

  /** Where ids are kept; undefined when they follow the feed. */
  get heldAt(): Start | undefined {
    if (this.#held && !this.#replays && performance.now() >= this.#held.until) this.#held = undefined;
    return this.#held?.start;
  }

  /** The id that stands for what this client has been told. */
  get currentId(): string {
    const held = this.heldAt;
    if (held === undefined) return this.#shared.liveId();
    return held === 'lost' ? LOST_ID : writePosition(held);
  }

  /** Begins a replay, or widens one: until it is sent no id goes past `start`, and live changes of what it covers wait. */
  beginReplay(replay: Replay, start: Start): void {
    const held = this.heldAt;
    this.#held = { start: held === undefined ? start : earlier(held, start), until: this.#held?.until ?? 0 };
    this.#replays ??= new Set();
    this.#replays.add(replay);
  }

  /**
   * Sends what a replay found, then what waited for it and for no other, and lets the ids go on.
   * @param replayedTo how far the replay went; absent where it says that everything may have changed.
   */
  endReplay(replay: Replay, events: readonly EncodedEvent[], replayedTo?: Position): void {
    // Back to where the replay starts, first: cut in its middle, the stream has to start from there again.
    const startId = this.currentId;
    const told = new Set(events.map(({ resource }) => resource));
    this.#replays?.delete(replay);
    if (this.#replays?.size === 0) this.#replays = undefined;
    // Not one by one: a batch for each of thousands would stay with the first of them, for each place to resume from.
    if (events.length > MAX_EVENTS) this.#outgoing = eventBatchOf(told, this.#outgoing);
    else for (const event of events) this.#add(event);
    if (replayedTo) {
      this.#replayed ??= new Set();
      for (const subscription of replay.subscriptions()) {
        subscription.replayedTo = replayedTo;
        this.#replayed.add(subscription);
      }
    }
    for (const change of this.#waiting?.takeAll() ?? []) {
      // "Everything may have changed" covers what it names; of `*` it can't name what is only just new.
      if (!replayedTo && told.has(change.resource)) continue;
      // It came for a subscription of then, which may have been ended, and another still wants it.
      const subscription = this.#subscriptionTo(change.resource);
      if (subscription) this.take(subscription, change, tableUpdate(change));
    }
    if (!this.#replays) this.#waiting = undefined;
    this.flush(startId);
  }

  #subscriptionTo(resource: string): Subscription | undefined {
    const direct = this.subscriptions.get(resource);
    return direct ?? (this.authorize(resource) ? this.subscriptions.get(EVERY_RESOURCE) : undefined);
  }

  /** Takes a live change for a subscription. It goes out with the next {@link Client.flush}. */
  take({ replayedTo }: Subscription, change: LoggedChange, event: EncodedEvent): void {
    if (this.#isAwaited(change.resource)) {
      this.#waiting ??= new WaitingChanges();
      this.#waiting.push(change);
    } else if (
      !replayedTo ||
      change.xid === undefined ||
      !hasSeen(replayedTo, change.xid) ||
      this.#isOver(replayedTo)
    ) {
      this.#add(event);
    }
  }

  /** Returns whether a replay is to tell of a resource: a live change would come before older ones. */
  #isAwaited(resource: string): boolean {
    for (const replay of this.#replays ?? []) if (replay.covers(resource)) return true;
    return false;
  }

  /**
   * Sends what was taken, in one write. Only the last event carries the new id: cut in the middle, the stream starts
   * again before the first.
   */
  flush(startId?: string): void {
    if (this.#replayed) this.#forgetReplays(this.#replayed);
    const batch = this.#outgoing;
    this.#outgoing = undefined;
    if (batch && this.#behind) for (const resource of batch.resources()) this.#behind.add(resource);
    else if (batch) this.#send(batch, startId);
  }

  /** Sends a heartbeat, unless the socket is full. */
  beat(): void {
    if (!this.#behind) this.write(heartbeat(this.currentId));
  }

  /** Writes; once the socket is full, further changes cost the names of their resources and no more. */
  write(bytes: Buffer | string): void {
    if (this.closed) return;
    this.#socket.write(bytes);
    const { writableLength } = this.#socket;
    this.#writes = writableLength === 0 ? 0 : this.#writes + 1;
    if (this.#behind || (writableLength < MAX_BUFFERED && this.#writes < MAX_WRITES)) return;
    this.#behind = new Set();
    this.#cutOffLater();
    // Called when all before it has left.
    this.#socket.write('', () => this.#catchUp());
  }

  /** Ends the stream after a last event. */
  end(reason: EndReason, text = ''): void {
    if (this.closed) return;
    this.endedBy = reason;
    this.#socket.write(text);
    endStreamSocket(this.#socket);
    // The end waits for what the socket still holds, and a client that doesn't read would stay for ever.
    this.#cutOffLater();
  }

  /** Its connection has closed. */
  left(): void {
    clearTimeout(this.#cutOff);
  }

  #cutOffLater(): void {
    this.#cutOff ??= setTimeout(() => {
      this.endedBy = 'the client did not read';
      resetStreamSocket(this.#socket);
    }, this.#shared.stallMs);
  }

  /** Whether a position is of an epoch that has ended: its transaction ids may have been given to others since. */
  #isOver({ epoch }: Position): boolean {
    return epoch !== this.#shared.livePosition().epoch;
  }

  #catchUp(): void {
    if (this.closed) return;
    clearTimeout(this.#cutOff);
    this.#cutOff = undefined;
    this.#writes = 0;
    const batch = eventBatchOf(this.#behind ?? []);
    this.#behind = undefined;
    if (batch) this.#send(batch);
  }

  #send(batch: EventBatch, startId?: string): void {
    this.#shared.counts.deliveries += batch.delivered;
    this.#shared.counts.summedUp += batch.summaries;
    this.write(batch.bytes(this.currentId, startId));
  }

  #add(event: EncodedEvent): void {
    this.#outgoing = this.#outgoing ? this.#outgoing.and(event) : EventBatch.of(event);
  }

  #forgetReplays(replayed: Set<Subscription>): void {
    for (const subscription of replayed) {
      const { replayedTo } = subscription;
      if (replayedTo && !this.#isOver(replayedTo) && !isAtLeast(this.#shared.livePosition(), replayedTo)) continue;
      delete subscription.replayedTo;
      replayed.delete(subscription);
    }
    if (replayed.size === 0) this.#replayed = undefined;
  }
}
