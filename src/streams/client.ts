import type { Writable } from 'node:stream';
import { type LoggedChange, refetchOf } from '../change.js';
import type { Position } from '../feed/log/position.js';
import type { Scope } from '../scope.js';
import { formatTopic } from '../scope.js';
import { ClientReplays, isCovered } from './client-replays.js';
import { EventBatch, eventBatchOf } from './event-batch.js';
import { type EncodedEvent, endedEvent, expiredEvent, heartbeat, tableUpdate } from './event-format.js';
import { MAX_EVENTS } from './limits.js';
import { Outbox, type OutboxOptions } from './outbox.js';
import type { Replay, Start } from './replay.js';
import type { ReplayedEvents } from './replayed-events.js';
import { ResumePoint } from './resume-point.js';
import { type Rights, StreamRights } from './rights.js';
import type { ScopedTopic } from './scoped-topic.js';
import type { EndReason } from './stream-counts.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** The parts of a {@link Client}. */
export interface ClientOptions {
  readonly id: string;
  /** The `sub` of the token that opened the stream. */
  readonly subject: string;
  /** The socket that takes the stream's bytes, with the headers sent. */
  readonly socket: Writable;
  /** The topics that this client may receive. */
  readonly rights: Rights;
  readonly shared: SharedByClients;
}

/** Settings and state that all clients of a server share. */
export interface SharedByClients extends OutboxOptions {
  /** Returns how far the server has sent live changes. */
  readonly livePosition: () => Position;
  /** The same as an id. */
  readonly liveId: () => string;
  /** The time for which a stream keeps the position with which it arrived, in ms. */
  readonly holdMs: number;
}

/**
 * One client's stream: its subscriptions and rights, its resume point, its replays, the batch of events that goes out
 * next, and its outbox.
 */
export class Client {
  readonly id: string;
  readonly subject: string;
  /** The time at which it was opened, by performance.now(). */
  readonly openedAt = performance.now();
  readonly subscriptions = new Map<string, Subscription>();
  /** The end of its rights, in ms since 1970. Undefined: never. */
  expiresAt: number | undefined;
  #given: Rights;
  readonly #shared: SharedByClients;
  readonly #outbox: Outbox;
  // Made when they are needed: ten thousand idle clients need none of them.
  #rights: StreamRights | undefined;
  /** Scopes whose columns are no scope any more; other rights do not bring them back. */
  #endedScopes: Set<string> | undefined;
  #resumePoint: ResumePoint | undefined;
  #replays: ClientReplays | undefined;
  #batch: EventBatch | undefined;

  constructor({ id, subject, socket, rights, shared }: ClientOptions) {
    this.id = id;
    this.subject = subject;
    this.#given = rights;
    this.#shared = shared;
    this.#outbox = new Outbox(socket, shared);
  }

  /** True once the stream has ended. */
  get closed(): boolean {
    return this.#outbox.closed;
  }

  /** The reason why this side ended the stream; undefined where the other side did. */
  get endedBy(): EndReason | undefined {
    return this.#outbox.endedBy;
  }

  /** True while the client does not read fast enough: changes then cost it the names of their topics alone. */
  get isFull(): boolean {
    return this.#outbox.isFull;
  }

  /** The number of topics that the client has to refetch once it reads again. */
  get behind(): number {
    return this.#outbox.behind;
  }

  /** Returns whether this client may receive a resource, or with `scope` a part of it. */
  authorize(resource: string, scope?: Scope): boolean {
    return this.rights.authorize(resource, scope);
  }

  /** Its rights. */
  get rights(): StreamRights {
    this.#rights ??= new StreamRights(this.#given);
    return this.#rights;
  }

  /** The scopes that a subscription to `*` receives. */
  get grantedScopes(): readonly ScopedTopic[] {
    const granted = this.rights.grantedScopes;
    return this.#endedScopes ? granted.filter(({ text }) => !this.#endedScopes?.has(text)) : granted;
  }

  /** Returns whether it is subscribed to a whole resource, so that it receives no scope of it besides. */
  hasWhole(resource: string): boolean {
    const { subscriptions } = this;
    return subscriptions.has(resource) || (subscriptions.has(EVERY_RESOURCE) && this.authorize(resource));
  }

  /** Gives this client other rights. */
  replaceRights(rights: Rights): void {
    this.#given = rights;
    this.#rights = undefined;
  }

  /**
   * Keeps the event id at the position with which the stream arrived, for a while. Subscriptions by POST are gone after an
   * automatic reconnect; a stream that is cut before they are back has to start from there again.
   */
  hold(start: Start): void {
    this.#resumePoint = ResumePoint.lasting(start, this.#shared.holdMs);
  }

  /** The position at which ids stay; undefined while they follow the feed. */
  get heldAt(): Start | undefined {
    return this.#held?.start;
  }

  /** The id from which this client misses nothing. */
  get currentId(): string {
    return this.#held?.id ?? this.#shared.liveId();
  }

  /** Begins a replay, or widens one: until it is sent no id goes past `start`, and live changes of what it covers wait. */
  beginReplay(replay: Replay, start: Start): void {
    this.#resumePoint = ResumePoint.beforeReplay(start, this.#held);
    this.#replays ??= new ClientReplays();
    this.#replays.begin(replay);
  }

  /**
   * Sends what a replay found, then what waited for it and for no other, and lets the ids advance.
   * @param replayedTo how far the replay went; absent where it says that everything may have changed.
   */
  endReplay(replay: Replay, { events, topics }: ReplayedEvents, replayedTo?: Position): void {
    // Back to where the replay starts, first: cut in its middle, the stream has to start from there again.
    const startId = this.currentId;
    // Not one by one: a batch for each of thousands would stay with the first of them, for each place to resume from.
    if (events.length > MAX_EVENTS) this.#batch = eventBatchOf(topics, this.#batch);
    else for (const event of events) this.#add(event);
    for (const change of this.#replays?.end(replay, replayedTo) ?? []) {
      // "Everything may have changed" covers what it names; of `*` it can't name what is only just new.
      if (!replayedTo && topics.has(formatTopic(change))) continue;
      // Its subscription may have been ended since, and another one may cover the topic, or a part of it.
      const subscription = this.#subscriptionTo(change);
      if (subscription) this.take(subscription, change, tableUpdate(change));
      else if (!change.scope) this.#takeForScopes(change.resource);
    }
    this.flush(startId);
  }

  /** Takes a live change for a subscription. It goes out with the next {@link Client.flush}. */
  take(subscription: Subscription, change: LoggedChange, event: EncodedEvent): void {
    const { replayedTo } = subscription;
    if (this.#replays?.awaits(change.resource)) this.#replays.keep(change);
    else if (!replayedTo || !isCovered(change, replayedTo, this.#shared.livePosition())) this.#add(event);
  }

  /**
   * Sends what was taken, in one write. Only the last event carries the new id: cut in the middle, the stream starts
   * again before the first.
   */
  flush(startId?: string): void {
    if (this.#replays) this.#forgetReplays(this.#replays);
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch) this.#send(batch, startId);
  }

  /**
   * Sends a resync for a scope and its end, at once: behind a batch or a replay the client could take the end for all that it
   * receives.
   */
  endScope(scope: ScopedTopic): void {
    this.#endedScopes ??= new Set();
    this.#endedScopes.add(scope.text);
    this.write(tableUpdate(refetchOf(scope.text, 'resync')).text + endedEvent(scope, 'no_scope'));
  }

  /** Sends a heartbeat, unless the socket is full. */
  beat(): void {
    if (!this.isFull) this.write(heartbeat(this.currentId));
  }

  /** Writes at once, past the batch. */
  write(bytes: Buffer | string): void {
    if (this.#outbox.write(bytes)) void this.#catchUp();
  }

  /** Ends the stream after a last event. */
  end(reason: EndReason, text = ''): void {
    this.#outbox.end(reason, text);
  }

  /** Ends the stream with its token. */
  expire(): void {
    this.end('its token ended', expiredEvent());
  }

  /** Stops its timer: the connection has closed. */
  release(): void {
    this.#outbox.release();
  }

  /** Tells a client that has read again to refetch what changed meanwhile. */
  async #catchUp(): Promise<void> {
    await this.#outbox.whenEmpty();
    if (this.closed) return;
    // In one step: an event that went out between would carry an id that is past what was missed.
    const batch = eventBatchOf(this.#outbox.takeMissed());
    if (batch) this.#send(batch);
  }

  get #held(): ResumePoint | undefined {
    if (this.#resumePoint?.isOver && !this.#replays?.isRunning) this.#resumePoint = undefined;
    return this.#resumePoint;
  }

  #forgetReplays(replays: ClientReplays): void {
    replays.forgetPassed(this.#shared.livePosition());
    if (replays.isIdle) this.#replays = undefined;
  }

  #send(batch: EventBatch, startId?: string): void {
    if (this.#outbox.send(batch, this.currentId, startId)) void this.#catchUp();
  }

  #add(event: EncodedEvent): void {
    this.#batch = this.#batch ? this.#batch.and(event) : EventBatch.of(event);
  }

  #subscriptionTo(change: LoggedChange): Subscription | undefined {
    const { resource, scope } = change;
    const topic = formatTopic(change);
    const direct = this.subscriptions.get(topic);
    if (direct) return direct;
    const allowed = scope ? this.grantedScopes.some(({ text }) => text === topic) : this.authorize(resource);
    return allowed ? this.subscriptions.get(EVERY_RESOURCE) : undefined;
  }

  /** Takes that something changed in the scopes of a resource: the whole came as one until its subscription ended. */
  #takeForScopes(resource: string): void {
    for (const subscription of this.subscriptions.values()) {
      if (!subscription.topic.startsWith(`${resource}?`)) continue;
      const change = refetchOf(subscription.topic);
      this.take(subscription, change, tableUpdate(change));
    }
  }
}
