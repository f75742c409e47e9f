import type { Change } from '../change.js';
import { formatTopic } from '../scope.js';
import { ClientIds } from './client-ids.js';
import { Connection } from './connection.js';
import { Inbox, type InboxOptions } from './inbox.js';
import type { ListenOptions, UntilOptions } from './listen-options.js';
import type { FeedMessage } from './message.js';
import { type Settings, type SSEServiceOptions, settingsOf } from './options.js';
import { isBrowser, isVisible, watchPage } from './page.js';
import type { ChangeListener, Registration } from './registration.js';
import { Registrations } from './registrations.js';
import { Requests } from './requests.js';
import { type Resource, topicFrom } from './resource.js';
import type { Sharing } from './sharing.js';
import { IDLE, isLive, type SSEState, type SSEStatus } from './status.js';
import { Subscriptions } from './subscriptions.js';
import { later, now } from './timing.js';

/** The time for which a stream without listeners stays open, in ms: the next view may need it. */
const UNUSED_MS = 5000;

/**
 * The change feed in a browser: one stream for all resources that somebody listens to. It reconnects by itself and continues
 * where it stopped, so no change is missed. Where the server cannot replay changes, listeners receive `reason: 'resync'`.
 * @example
 * const off = sseService.on('veranstaltung', (change) => refetch(change.keys));
 */
export class SSEService {
  #settings: Settings;
  readonly #registrations = new Registrations();
  readonly #statusListeners = new Set<(status: SSEStatus) => void>();
  readonly #subscriptions: Subscriptions;
  readonly #connection: Connection;
  readonly #parts: InboxOptions;
  readonly #inbox: Inbox;
  #state: SSEState = IDLE;
  #sharing: Sharing | undefined;
  /** Aborted when the page leaves the other tabs, or is no longer to join them. */
  #joining: AbortController | undefined;
  readonly #clientIds = new ClientIds();
  #disconnected = false;
  #cancelHidden = () => {};
  #cancelUnused = () => {};
  #unwatchPage: (() => void) | undefined;

  /** @throws {TypeError} for an option that is no number where one is expected. */
  constructor(options: SSEServiceOptions = {}) {
    this.#settings = settingsOf(options);
    this.#registrations.give(options.lastEventId || undefined);
    const settings = () => this.#settings;
    const requests = new Requests(settings);
    const registrations = this.#registrations;
    const wanted = () => [...new Set([...registrations.topics, ...(this.#sharing?.tabs.wanted ?? [])])];
    this.#parts = { settings, requests, registrations };
    this.#inbox = new Inbox(this.#parts);
    this.#subscriptions = new Subscriptions({
      settings,
      requests,
      wanted,
      onCovered: (topic, signal) => this.#bring({ type: 'cover', topic }, signal),
      onSeveral: () => this.#connection.replace(),
      onStreamGone: () => this.#connection.lose('its stream is gone'),
    });
    this.#connection = new Connection(settings, requests, {
      begin: (by) => ({ from: registrations.start(), topics: by === 'poll' ? wanted() : this.#subscriptions.forUrl() }),
      onOpen: ({ clientId, topics, from, resumed, signal }) => {
        this.#clientIds.add(clientId);
        this.#bring({ type: 'begin', topics, from, resumed, anew: true }, signal);
        this.#subscriptions.opened({ clientId, signal }, topics);
      },
      bring: (message, signal) => this.#bring(message, signal),
      onEnded: (ended) => {
        const topic = formatTopic(ended);
        this.#subscriptions.ended(topic);
        this.#settings.logger.warn(`SSE: the server has ended ${topic}: ${ended.reason}`);
      },
      onRefused: () => this.#subscriptions.goSingly(),
    });
  }

  /** The status of the connection. */
  get status(): SSEStatus {
    return this.#state.status;
  }

  /** The status with its times. */
  get state(): SSEState {
    return this.#state;
  }

  /**
   * The time since which changes may have been missed, in ms since 1970; null while none are. By the page's own clock:
   * `performance.timeOrigin + performance.now() - staleSince` is the age of what the page shows.
   */
  get staleSince(): number | null {
    return this.#state.staleSince;
  }

  /** The time of the next attempt, in ms since 1970 by the same clock; null while none is planned. */
  get nextAttemptAt(): number | null {
    return this.#state.nextAttemptAt;
  }

  /** The name of this page. Send it as the header `Change-Feed-Client` of writes, so that {@link SSEService.isOwn} knows them. */
  get clientId(): string {
    return this.#clientIds.current;
  }

  /** The position up to which the page has received everything: the next stream continues there. */
  get lastEventId(): string | undefined {
    return this.#registrations.position;
  }

  /**
   * Changes the options. They count from the next request on; undefined changes nothing.
   * @throws {TypeError} for an option that is no number where one is expected.
   */
  configure(options: SSEServiceOptions): void {
    this.#settings = settingsOf(options, this.#settings);
    if (options.lastEventId) this.#registrations.give(options.lastEventId);
    void this.#sharing?.check();
  }

  /** Connects now, and ends a rest and any wait. The first listener connects by itself. */
  connect(): void {
    this.#disconnected = false;
    if (!isLive(this.#state)) this.#open();
  }

  /** Closes the stream until `connect()`. Listeners stay, and then receive what they have missed. */
  disconnect(): void {
    this.#disconnected = true;
    this.#close();
  }

  /**
   * Listens to a resource, a scope of it, or `*`. The first listener connects, unless `disconnect()` was called. Each call
   * is a registration of its own. Where a server renders the page the call does nothing.
   * @returns a function that ends it.
   * @throws {TypeError} for what is no scope.
   */
  on(resource: Resource, listener: ChangeListener, { since }: ListenOptions = {}): () => void {
    if (this.#isInert()) return () => {};
    this.#cancelUnused();
    const subject = topicFrom(resource);
    const topic = formatTopic(subject);
    const live = this.#subscriptions.brings(topic) || this.#registrations.isLive(topic);
    const registration = this.#registrations.add(subject, listener, since || undefined, live);
    if (this.status === 'idle' && !this.#disconnected) this.#open();
    else if (registration.behind) this.#listenersChanged();
    return () => this.#off(registration);
  }

  /** Ends what {@link SSEService.on} began: the oldest registration of this listener. */
  off(resource: Resource, listener: ChangeListener): void {
    this.#off(this.#registrations.find(formatTopic(topicFrom(resource)), listener));
  }

  /**
   * Waits until this page has received everything up to a position: the header `Change-Feed-Position` of a write's answer.
   * Without a position, or a listener, it does not wait.
   * @throws {TypeError} for a text that is no position.
   * @throws {DOMException} TimeoutError after `timeoutMs`, 10,000 unless given.
   */
  async until(position: string | null | undefined, { timeoutMs = 10_000 }: UntilOptions = {}): Promise<void> {
    if (!position || this.#registrations.isEmpty) return;
    const { reach } = await import('./until.js');
    return reach(this.#parts, position, timeoutMs);
  }

  /** Calls the listener with each new status. @returns a function that ends it. */
  onStatus(listener: (status: SSEStatus) => void): () => void {
    if (this.#isInert()) return () => {};
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  /** Tells whether this page made a change itself: by a write with the header `Change-Feed-Client`. */
  isOwn({ origin }: Change): boolean {
    return origin?.client !== undefined && this.#clientIds.has(origin.client);
  }

  #isInert = () => !isBrowser() && (this === sseService || !/^[a-z]+:/i.test(this.#settings.url));

  #off(registration: Registration | undefined): void {
    if (!registration || !this.#registrations.remove(registration)) return;
    this.#listenersChanged();
    if (!this.#registrations.isEmpty) return;
    this.#cancelUnused = later(UNUSED_MS, () => {
      if (!this.#disconnected) this.#close();
      this.#registrations.forget();
    });
  }

  /** Passes on what the page's own connection has received: to this page, and to those that follow it. */
  #bring(message: FeedMessage, signal?: AbortSignal): void {
    if (this.#sharing?.tabs.leading === false) return;
    this.#apply(this.#sharing?.tabs.pass(message) ?? message, signal);
  }

  #apply(message: FeedMessage, signal?: AbortSignal): void {
    if (message.type === 'state') this.#setState(message.state);
    else this.#inbox.apply(message, signal);
  }

  #setState(state: SSEState): void {
    const before = this.#state;
    this.#state = state;
    if (before.status === state.status && before.nextAttemptAt === state.nextAttemptAt) return;
    for (const listener of [...this.#statusListeners]) listener(state.status);
  }

  #listenersChanged(): void {
    this.#subscriptions.reconcile();
    this.#connection.changed();
    this.#sharing?.tabs.changed();
  }

  #open(): void {
    this.#unwatchPage ??= watchPage({
      onShown: () => this.#shown(),
      onHidden: () => {
        this.#cancelHidden();
        this.#cancelHidden = later(this.#settings.hiddenMs, () => this.#pause());
      },
      onLeft: () => this.#pause(),
      onOnline: () => isVisible() && this.#shown(),
      onOffline: () => this.#connection.offline(),
      onStorage: () => {
        void this.#sharing?.check();
        if (this.status === 'unauthorized') this.#shown();
      },
    });
    // A tab that starts hidden opens nothing until it is shown.
    if (!isVisible() && this.#settings.hiddenMs !== Number.POSITIVE_INFINITY) this.#connection.close('paused');
    else if (this.#sharing) this.#sharing.tabs.wake();
    else if (this.#settings.tabs && typeof document !== 'undefined' && typeof BroadcastChannel !== 'undefined')
      void this.#share();
    else this.#connection.connect();
  }

  async #share(): Promise<void> {
    if (this.#joining) return;
    const joining = new AbortController();
    this.#joining = joining;
    this.#setState({ status: 'connecting', staleSince: this.#state.staleSince ?? now(), nextAttemptAt: null });
    try {
      const { share } = await import('./sharing.js');
      this.#sharing = await share(
        {
          ...this.#parts,
          state: () => this.#state,
          subscriptions: this.#subscriptions,
          connection: this.#connection,
          apply: (message: FeedMessage, signal: AbortSignal) => this.#apply(message, signal),
          wake: () => isLive(this.#state) || this.#connection.connect(),
          part: () => this.#part(),
          rejoin: () => this.#open(),
        },
        joining.signal,
      );
    } catch (error) {
      this.#settings.logger.debug('SSE: tabs cannot share a stream', error);
    }
    if (this.#sharing || joining.signal.aborted) return;
    this.#joining = undefined;
    this.#connection.connect();
  }

  #part(): void {
    this.#joining?.abort();
    this.#joining = undefined;
    this.#sharing?.tabs.leave();
    this.#sharing = undefined;
  }

  #shown(): void {
    this.#cancelHidden();
    const final = this.status === 'resting' && this.nextAttemptAt === null && this.#settings.maxAttempts !== undefined;
    if (!final && !['idle', 'revoked'].includes(this.status) && !isLive(this.#state)) this.#open();
  }

  #pause(): void {
    this.#cancelHidden();
    if (!this.#joining && ['idle', 'paused', 'revoked', 'resting', 'unauthorized'].includes(this.status)) return;
    this.#part();
    this.#connection.close('paused');
  }

  #close(): void {
    this.#cancelHidden();
    this.#part();
    this.#connection.close('idle');
    this.#unwatchPage?.();
    this.#unwatchPage = undefined;
  }
}

/** The service of the page: all its listeners share one stream. */
export const sseService = new SSEService();
