import type { Change } from '../change.js';
import type { StreamEvent } from './event-reader.js';
import { type ChangeListener, Listeners } from './listeners.js';
import { type Settings, type SSEServiceOptions, settingsOf, type TokenReason } from './options.js';
import { isVisible, watchPage } from './page.js';
import { backoff } from './retry.js';
import { readStream, type StreamEnd } from './stream.js';
import { Subscriptions } from './subscriptions.js';

/**
 * Where a service stands: `idle` (nobody listens, or `disconnect()`), `connecting`, `connected`, `waiting` for its next
 * attempt, `resting` after five failures, `paused` in a hidden tab, `unauthorized` without a token that the server takes.
 */
export type SSEStatus = 'idle' | 'connecting' | 'connected' | 'waiting' | 'resting' | 'paused' | 'unauthorized';

/** After as many failures in a row it rests. */
const FAILURES_TO_REST = 5;
/** A stream that nobody listens to any more is kept for so long, in ms: the next view may be on its way. */
const UNUSED_MS = 5000;
/** Where the server has not said how long to wait after a stream's end, in ms. */
const DEFAULT_RETRY_MS = 2000;
/** Streams of before whose own changes are still known as its own. */
const KNOWN_CLIENT_IDS = 100;

/**
 * The change feed in a browser: one stream for all resources that somebody listens to. It comes back by itself and goes on
 * where it stopped, so that no change is missed: a stretch that can't be replayed is told as `reason: 'resync'`.
 *
 * @example
 * const off = sseService.on('veranstaltung', (change) => refetch(change.keys));
 */
export class SSEService {
  #settings: Settings;
  readonly #listeners = new Listeners();
  readonly #statusListeners = new Set<(status: SSEStatus) => void>();
  readonly #subscriptions: Subscriptions;
  readonly #clientIds: string[] = [];
  #status: SSEStatus = 'idle';
  #lastEventId: string | undefined;
  #stream: AbortController | undefined;
  #clientId: string | null = null;
  #refusedToken: string | undefined;
  #expired = false;
  #disconnected = false;
  #failures = 0;
  #retryMs = DEFAULT_RETRY_MS;
  #nextAttemptAt: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hidden: ReturnType<typeof setTimeout> | undefined;
  #unused: ReturnType<typeof setTimeout> | undefined;
  #unwatchPage: (() => void) | undefined;

  constructor(options: SSEServiceOptions = {}) {
    this.#settings = settingsOf(options);
    this.#lastEventId = options.lastEventId;
    this.#subscriptions = new Subscriptions({
      settings: () => this.#settings,
      listeners: this.#listeners,
      onStreamGone: () => this.#retryIn(this.#retryMs, 'its stream is gone'),
    });
  }

  /** Where it stands. */
  get status(): SSEStatus {
    return this.#status;
  }

  /** The open stream's id; send it as the header `Change-Feed-Client` on writes, and {@link SSEService.isOwn} knows them. */
  get clientId(): string | null {
    return this.#clientId;
  }

  /** How far it has heard: the position from which the next stream goes on. */
  get lastEventId(): string | undefined {
    return this.#lastEventId;
  }

  /** When it tries next, in ms since 1970, while it waits or rests. */
  get nextAttemptAt(): number | null {
    return this.#nextAttemptAt;
  }

  /** Changes the options, of {@link sseService} for one. They count from the next stream on. */
  configure(options: SSEServiceOptions): void {
    this.#settings = { ...this.#settings, ...options };
    if (options.lastEventId !== undefined) this.#lastEventId = options.lastEventId;
  }

  /** Connects now; ends a rest, and any wait. The first listener does so by itself. */
  connect(): void {
    this.#disconnected = false;
    this.#failures = 0;
    this.#refusedToken = undefined;
    if (this.#status !== 'connected' && this.#status !== 'connecting') this.#open();
  }

  /** Closes the stream until `connect()`. Listeners stay, and hear then what they have missed. */
  disconnect(): void {
    this.#disconnected = true;
    this.#close('idle');
    this.#unwatchPage?.();
    this.#unwatchPage = undefined;
  }

  /**
   * Listens to a resource, or `*`. Its first listener subscribes, and connects unless `disconnect()` was called.
   * @returns how to end that.
   */
  on(resource: string, listener: ChangeListener): () => void {
    clearTimeout(this.#unused);
    if (this.#listeners.add(resource, listener)) {
      this.#subscriptions.want(resource, this.#lastEventId);
      if (this.#status === 'idle' && !this.#disconnected) this.#open();
    }
    return () => this.off(resource, listener);
  }

  /** Ends what {@link SSEService.on} began. A resource's last listener unsubscribes. */
  off(resource: string, listener: ChangeListener): void {
    if (!this.#listeners.remove(resource, listener)) return;
    this.#subscriptions.reconcile(resource);
    if (this.#listeners.resources.length > 0) return;
    this.#unused = setTimeout(() => {
      if (!this.#disconnected) this.#close('idle');
      this.#lastEventId = undefined; // nobody has missed anything
    }, UNUSED_MS);
  }

  /** Hears of each new status. @returns how to end that. */
  onStatus(listener: (status: SSEStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  /** Whether this page made a change itself: a write with the header `Change-Feed-Client`. */
  isOwn({ origin }: Change): boolean {
    return origin?.client !== undefined && this.#clientIds.includes(origin.client);
  }

  #open(reason: TokenReason = 'connect'): void {
    this.#endStream();
    const stream = new AbortController();
    this.#stream = stream;
    this.#setStatus('connecting');
    this.#unwatchPage ??= watchPage({
      onShown: () => this.#shown(),
      onHidden: () => this.#pauseLater(),
      onLeft: () => this.#pause(),
      onOnline: () => isVisible() && this.#shown(),
    });
    if (!isVisible()) this.#pauseLater();
    void this.#run(stream, reason);
  }

  async #run(stream: AbortController, reason: TokenReason): Promise<void> {
    const { getToken, url, fetch, silenceMs, logger } = this.#settings;
    let token: string | null;
    try {
      token = await getToken(reason);
    } catch (error) {
      if (!stream.signal.aborted) this.#failed('there is no token', error);
      return;
    }
    if (stream.signal.aborted) return;
    if (token === null || token === this.#refusedToken) {
      this.#rest('unauthorized');
      return;
    }

    const since = this.#lastEventId;
    const query = new URLSearchParams();
    const resources = this.#subscriptions.begin(since);
    if (resources.length > 0) query.set('resources', resources.join(','));
    this.#expired = false;
    const end = await readStream({
      url: resources.length > 0 ? `${url}?${query}` : url,
      headers: { Authorization: `Bearer ${token}`, ...(since !== undefined && { 'Last-Event-ID': since }) },
      fetch,
      silenceMs,
      signal: stream.signal,
      onEvent: (event) => this.#take(event, stream.signal),
      onId: (id) => {
        this.#lastEventId = id || undefined;
      },
      onRetry: (ms) => {
        this.#retryMs = ms;
      },
    });
    if (stream.signal.aborted) return;
    if (end.kind !== 'closed') logger.debug('SSE connection error', end.reason);
    if (end.kind === 'refused' && end.status === 401) this.#refusedToken = token;
    this.#ended(end, reason);
  }

  #take({ event, data }: StreamEvent, signal: AbortSignal): void {
    if (event === 'expired') {
      this.#expired = true;
      return;
    }
    if (event !== 'connected' && event !== 'table-update') return;
    const body = JSON.parse(data);
    if (event === 'table-update') {
      const { spread, ...change } = body as Change & { spread?: number };
      this.#listeners.tell(change, spread);
      return;
    }
    const { clientId } = body as { clientId: string };
    this.#clientId = clientId;
    this.#clientIds.unshift(clientId);
    this.#clientIds.length = Math.min(this.#clientIds.length, KNOWN_CLIENT_IDS);
    this.#failures = 0;
    this.#refusedToken = undefined;
    this.#settings.logger.debug(`SSE connected with client ID: ${clientId}`);
    this.#setStatus('connected');
    this.#subscriptions.connected({ clientId, signal });
  }

  #ended(end: StreamEnd, reason: TokenReason): void {
    if (this.#expired) this.#open('expired');
    else if (end.kind !== 'refused' && this.#status === 'connected') this.#retryIn(this.#retryMs, 'the stream ended');
    else if (end.kind !== 'refused') this.#failed('the stream ended before it had begun');
    else if (end.status === 401 && reason !== 'refused') this.#open('refused');
    // One name that the token does not allow refuses them all: each by itself, then.
    else if (end.status === 403 && this.#subscriptions.goSingly()) this.#open();
    else this.#failed(end.reason, undefined, end.retryAfterMs);
  }

  #failed(why: string, error?: unknown, waitMs?: number): void {
    const { maxAttempts = FAILURES_TO_REST, retryBaseMs, logger } = this.#settings;
    if (error !== undefined) logger.debug('SSE connection error', error);
    this.#failures += 1;
    if (this.#failures >= maxAttempts) this.#rest('resting');
    else this.#retryIn(waitMs ?? backoff(this.#failures, retryBaseMs), why);
  }

  #retryIn(ms: number, why: string): void {
    this.#endStream();
    this.#settings.logger.debug(`SSE reconnecting in ${Math.round(ms)}ms`, why);
    this.#openIn(ms);
    this.#setStatus('waiting');
  }

  #rest(status: 'resting' | 'unauthorized'): void {
    const { restMs, maxAttempts } = this.#settings;
    this.#endStream();
    if (maxAttempts === undefined) this.#openIn(restMs);
    this.#setStatus(status);
  }

  #openIn(ms: number): void {
    this.#nextAttemptAt = Date.now() + ms;
    this.#timer = setTimeout(() => {
      this.#refusedToken = undefined;
      // A hidden page that rests waits until it is shown.
      if (this.#status === 'waiting' || isVisible()) this.#open();
    }, ms);
  }

  #shown(): void {
    clearTimeout(this.#hidden);
    const final = this.#status === 'resting' && this.#settings.maxAttempts !== undefined;
    if (final || !['paused', 'waiting', 'resting', 'unauthorized'].includes(this.#status)) return;
    this.#failures = 0;
    this.#refusedToken = undefined;
    this.#open();
  }

  #pauseLater(): void {
    clearTimeout(this.#hidden);
    this.#hidden = setTimeout(() => this.#pause(), this.#settings.hiddenMs);
  }

  #pause(): void {
    if (this.#status === 'connected' || this.#status === 'connecting' || this.#status === 'waiting')
      this.#close('paused');
  }

  #close(status: 'idle' | 'paused'): void {
    clearTimeout(this.#hidden);
    this.#endStream();
    this.#setStatus(status);
  }

  /** Ends the stream, and whatever was to follow it. */
  #endStream(): void {
    clearTimeout(this.#timer);
    this.#nextAttemptAt = null;
    this.#clientId = null;
    this.#stream?.abort();
    this.#stream = undefined;
  }

  #setStatus(status: SSEStatus): void {
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of [...this.#statusListeners]) listener(status);
  }
}

/** The page's own service: all of it shares one stream. */
export const sseService = new SSEService();
