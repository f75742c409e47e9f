import { attempt, silenceOf, streamUrl } from './attempt.js';
import type { Connected, ConnectionHandlers, EndedTopic } from './connection-handlers.js';
import type { StreamEvent } from './event-reader.js';
import { Failures } from './failures.js';
import type { Fallback } from './fallback.js';
import type { Settings, TokenReason } from './options.js';
import { isOnline, isVisible } from './page.js';
import type { SentChange } from './registration.js';
import type { Requests } from './requests.js';
import { backoff } from './retry.js';
import { IDLE, nextState, type SSEState, type SSEStatus } from './status.js';
import type { StreamEnd } from './stream.js';
import { boundedWait, later, now } from './timing.js';

/** The wait after a stream's end, in ms, unless the server has sent one. */
const DEFAULT_RETRY_MS = 2000;
/** A token that ends sooner than this after its stream began counts as a failure, in ms. */
const SHORT_MS = 10_000;
/** The time in which one stream replaces another without a change of the status, in ms. */
const QUIET_MS = 3000;

/** Keeps one stream open, and opens it again after every end. */
export class Connection {
  readonly #settings: () => Settings;
  readonly #requests: Requests;
  readonly #handlers: ConnectionHandlers;
  #state: SSEState = IDLE;
  #stream: AbortController | undefined;
  #open = false;
  #expired = false;
  #readable = true;
  readonly #failures = new Failures();
  #openedAt = 0;
  #heardAt = 0;
  #heartbeatMs: number | undefined;
  #retryMs = DEFAULT_RETRY_MS;
  /** The time after which a stream that has not begun counts as kept back by a proxy, in ms. */
  #deadlineMs: number | undefined;
  #fallback: Fallback | undefined;
  /** The number of streams tried since a proxy began to keep them back; undefined while none does. */
  #trials: number | undefined;
  #cancelTimer = () => {};
  #cancelQuiet = () => {};

  constructor(settings: () => Settings, requests: Requests, handlers: ConnectionHandlers) {
    this.#settings = settings;
    this.#requests = requests;
    this.#handlers = handlers;
  }

  /** Connects now, and forgets all failures. */
  connect(): void {
    this.#failures.forget();
    this.#requests.forgive();
    this.#connect('connect');
  }

  /** Connects in the place of another tab. The status stays while that is fast. */
  takeOver(state: SSEState): void {
    this.#state = state;
    this.#heardAt = now();
    const { status } = state;
    if (status === 'connected' || status === 'stale') this.#quietly();
    else if (status !== 'revoked') this.connect();
  }

  /** Opens another stream in the place of the open one, for other topics. */
  replace(): void {
    if (this.#open) this.#quietly();
  }

  #quietly(): void {
    this.#endStream();
    this.#cancelQuiet = later(QUIET_MS, () => this.#setState('connecting'));
    this.#begin('connect');
  }

  /** Takes note that other topics are wanted while there is no stream. */
  changed(): void {
    this.#fallback?.changed();
  }

  /** Drops the open stream, which is of no use any more. */
  lose(why: string): void {
    this.#retryIn(this.#retryMs, why);
  }

  /** Closes it, until {@link Connection.connect}. */
  close(status: 'idle' | 'paused'): void {
    this.#endStream();
    this.#setState(status);
  }

  /** Takes note that the browser has no network. */
  offline(): void {
    if (this.#open || this.#state.status === 'connecting') this.#failed('the browser is offline');
  }

  #connect(reason: TokenReason): void {
    this.#endStream();
    this.#setState('connecting');
    this.#begin(reason);
  }

  #begin(reason: TokenReason): void {
    const stream = new AbortController();
    this.#stream = stream;
    if (this.#trials === undefined) void this.#run(stream.signal, reason);
    else void this.#judge(stream.signal);
  }

  async #run(signal: AbortSignal, reason: TokenReason): Promise<void> {
    const { logger } = this.#settings();
    const authorized = await this.#requests.authorize(reason).catch((error: unknown) => {
      logger.debug('SSE connection error', error);
      return 'failed' as const;
    });
    if (signal.aborted) return;
    if (authorized === 'failed') return this.#failed('there is no token');
    if (!authorized) return this.#rest('unauthorized');

    const { from, topics } = this.#handlers.begin('stream');
    // Proxies strip the header, and the URL says the same.
    if (from !== undefined) authorized.headers.set('Last-Event-ID', from);
    authorized.headers.set('Accept', 'text/event-stream');
    const url = streamUrl(this.#settings(), from, topics);
    this.#expired = false;
    this.#readable = true;
    const end = await attempt({
      send: (sending, onSent) => this.#requests.send(url, authorized, { signal: sending }, onSent),
      deadlineMs: this.#deadlineMs ?? this.#settings().connectMs,
      silenceMs: () => silenceOf(this.#settings(), this.#heartbeatMs),
      signal,
      onHeard: () => {
        this.#heardAt = now();
      },
      onEvent: (event) => this.#take(event, from, topics, signal),
      onId: (id) => this.#handlers.bring({ type: 'position', position: id || undefined }),
      onRetry: (ms) => {
        this.#retryMs = boundedWait(ms);
      },
    });
    if (signal.aborted) return;
    if (end === 'mute') return this.#judge(signal);
    if (end.kind === 'closed') return;
    logger.debug('SSE connection error', end.reason);
    if (end.kind === 'refused' && end.status === 401) this.#requests.refuse(authorized);
    this.#ended(end, reason, signal);
  }

  #take({ event, data }: StreamEvent, from: string | undefined, topics: readonly string[], signal: AbortSignal): void {
    if (signal.aborted) return;
    if (event === 'expired') {
      this.#expired = true;
    } else if (event === 'revoked') {
      this.#rest(event);
    } else if (event === 'table-update') {
      this.#handlers.bring({ type: 'change', change: JSON.parse(data) as SentChange });
    } else if (event === 'ended') {
      this.#handlers.onEnded(JSON.parse(data) as EndedTopic);
    } else if (event === 'health') {
      const { readable, forMs = 0 } = JSON.parse(data) as { readable: boolean; forMs?: number };
      this.#readable = readable;
      if (this.#open) this.#setState(readable ? 'connected' : 'stale', null, now() - forMs);
    } else if (event === 'connected') {
      const { clientId, resumed, heartbeatMs } = JSON.parse(data) as Connected;
      if (heartbeatMs !== undefined && heartbeatMs > 0) this.#heartbeatMs = heartbeatMs;
      this.#begun();
      this.#openedAt = now();
      this.#settings().logger.debug(`SSE connected with client ID: ${clientId}`);
      this.#setState(this.#readable ? 'connected' : 'stale');
      this.#handlers.onOpen({ clientId, topics, from, resumed: resumed || from === undefined, signal });
    }
  }

  #ended(end: StreamEnd, reason: TokenReason, signal: AbortSignal): void {
    const wasOpen = this.#open;
    if (this.#expired && now() - this.#openedAt >= SHORT_MS) this.#connect('expired');
    else if (this.#expired) {
      this.#failures.recall();
      this.#failed('the token ended at once', undefined, 'expired');
    } else if (end.kind !== 'refused' && wasOpen) this.#retryIn(this.#retryMs, 'the stream ended');
    else if (this.#failures.count > 0 && (end.kind !== 'refused' || end.status === 0)) void this.#judge(signal);
    else if (end.kind !== 'refused') this.#failed('the stream ended before it had begun');
    else if (end.status === 401 && reason !== 'refused') this.#connect('refused');
    else if (end.status === 401) this.#rest('unauthorized');
    // One name that is refused refuses them all: each by itself, then.
    else if ((end.status === 400 || end.status === 403) && this.#handlers.onRefused()) this.#connect('connect');
    else this.#failed(end.reason, end.retryAfterMs);
  }

  /** Asks by a poll why a stream has not begun: a proxy keeps streams back, the network is slow, or there is none. */
  async #judge(signal: AbortSignal): Promise<void> {
    // The code for polls is loaded when it is needed.
    const loaded = await import('./fallback.js').catch(() => undefined);
    if (signal.aborted) return;
    if (!loaded) return this.#failed('no poll is answered');
    this.#fallback = new loaded.Fallback({
      settings: this.#settings,
      requests: this.#requests,
      handlers: this.#handlers,
      deadlineMs: this.#deadlineMs ?? this.#settings().connectMs,
      trials: this.#trials,
      onReadable: (readable) => {
        this.#begun();
        this.#setState(readable ? 'connected' : 'stale');
      },
      onSlow: (deadlineMs) => {
        this.#deadlineMs = deadlineMs;
        this.#connect('connect');
      },
      onTrial: (trials) => {
        this.#trials = trials;
      },
      onStreamWorks: () => {
        this.#trials = undefined;
        this.replace();
      },
      onRest: (status) => this.#rest(status),
      onDown: (retryAfterMs) => this.#failed('no poll is answered', retryAfterMs),
      signal,
    });
    void this.#fallback.start();
  }

  /** Takes note that the server is reached. */
  #begun(): void {
    this.#failures.forget();
    this.#open = true;
    this.#heardAt = now();
    this.#requests.forgive();
    this.#cancelQuiet();
  }

  #failed(why: string, waitMs?: number, reason?: TokenReason): void {
    const { maxAttempts, retryBaseMs, restAfterMs } = this.#settings();
    const failingMs = this.#failures.add();
    const final = maxAttempts !== undefined && this.#failures.count >= maxAttempts;
    if (final || (failingMs >= restAfterMs && waitMs === undefined)) this.#rest('resting', final);
    else this.#retryIn(waitMs ?? backoff(failingMs, retryBaseMs), why, reason);
  }

  #retryIn(ms: number, why: string, reason?: TokenReason): void {
    this.#endStream();
    this.#settings().logger.debug(`SSE reconnecting in ${Math.round(ms)}ms`, why);
    this.#setState(isOnline() ? 'waiting' : 'offline', this.#connectIn(ms, reason));
  }

  #rest(status: 'resting' | 'unauthorized' | 'revoked', final = status === 'revoked'): void {
    this.#endStream();
    this.#setState(status, final ? null : this.#connectIn(this.#settings().restMs));
  }

  /** @returns the time of the next attempt. */
  #connectIn(ms: number, reason: TokenReason = 'connect'): number {
    const wait = boundedWait(ms);
    this.#cancelTimer = later(wait, () => {
      this.#requests.forgive();
      const { status } = this.#state;
      // A hidden page that rests waits until it is shown.
      if (status === 'waiting' || status === 'offline' || isVisible()) this.#connect(reason);
      else this.#setState(status);
    });
    return now() + wait;
  }

  /** Ends the stream, and cancels what was to follow it. */
  #endStream(): void {
    this.#cancelTimer();
    this.#cancelQuiet();
    this.#fallback = undefined;
    this.#open = false;
    this.#stream?.abort();
    this.#stream = undefined;
  }

  #setState(status: SSEStatus, nextAttemptAt: number | null = null, unreadableSince?: number): void {
    const next = nextState(this.#state, status, nextAttemptAt, unreadableSince ?? this.#heardAt);
    if (!next) return;
    this.#state = next;
    this.#handlers.bring({ type: 'state', state: next });
  }
}
