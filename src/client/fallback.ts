import { endpoint } from './endpoints.js';
import { Polling, type PollingOptions, type Unanswered } from './polling.js';
import { readStream } from './stream.js';
import { later } from './timing.js';

/** The minutes after which a stream is tried beside the polls; the last value repeats. */
const TRIALS_MIN = [1, 2, 4, 8, 10];
const MINUTE_MS = 60_000;
/** On a slow network a stream may take this many times as long as an answer took, and at most this long, in ms. */
const TIMES_SLOWER = 3;
const LONGEST_DEADLINE_MS = 120_000;

/** The parts of a fallback. */
export interface FallbackOptions extends PollingOptions {
  /** The number of streams that have been tried beside polls already; undefined: no proxy is known to keep streams back. */
  readonly trials: number | undefined;
  /** The network is slow: the time that a stream gets, in ms. */
  readonly onSlow: (deadlineMs: number) => void;
  /** The server accepts no token that there is, or has withdrawn the rights of this person. */
  readonly onRest: (status: 'unauthorized' | 'revoked') => void;
  /** No poll is answered, or none any more. @param retryAfterMs the wait that the server asks for. */
  readonly onDown: (retryAfterMs?: number) => void;
  /** Called with the number of streams that were tried beside the polls. */
  readonly onTrial: (trials: number) => void;
  /** Called when a stream has begun beside the polls. */
  readonly onStreamWorks: () => void;
}

/** Finds out by one poll why a stream did not begin, and polls while a proxy keeps streams back. */
export class Fallback {
  readonly #options: FallbackOptions;
  readonly #polling: Polling;
  #cancelTrial = () => {};

  constructor(options: FallbackOptions) {
    this.#options = options;
    this.#polling = new Polling(options);
    options.signal.addEventListener('abort', () => this.#cancelTrial());
  }

  /**
   * Asks once. Where a proxy keeps streams back it then polls until a poll fails. Give the stream up before: six that are
   * kept back block all requests of a browser.
   */
  async start(): Promise<void> {
    const { settings, deadlineMs, trials, signal, onSlow, onReadable } = this.#options;
    const took = await this.#polling.probe();
    if (signal.aborted) return;
    if (typeof took !== 'number') return this.#unanswered(took);
    if (took >= deadlineMs && trials === undefined) return onSlow(Math.min(took * TIMES_SLOWER, LONGEST_DEADLINE_MS));
    settings().logger.debug('SSE: streams are kept back on the way, polling instead');
    onReadable(true);
    this.#tryLater(trials ?? 0);
    const end = await this.#polling.run();
    if (!signal.aborted) this.#unanswered(end);
  }

  #unanswered(end: Unanswered): void {
    const { onRest, onDown } = this.#options;
    if (end.kind === 'unauthorized' || end.kind === 'revoked') onRest(end.kind);
    else if (end.kind === 'refused' && end.status === 401) onRest('unauthorized');
    else onDown(end.kind === 'refused' ? end.retryAfterMs : undefined);
  }

  /** Takes note that other topics are wanted. */
  changed(): void {
    this.#polling.changed();
  }

  #tryLater(trial: number): void {
    this.#options.onTrial(trial);
    const minutes = TRIALS_MIN[Math.min(trial, TRIALS_MIN.length - 1)] as number;
    this.#cancelTrial = later(minutes * MINUTE_MS, () => void this.#try(trial));
  }

  /** Opens a stream without topics, to see whether it begins. */
  async #try(trial: number): Promise<void> {
    const { settings, requests, signal, deadlineMs, onStreamWorks } = this.#options;
    let works = false;
    const attempt = new AbortController();
    const cancel = later(deadlineMs, () => attempt.abort());
    const authorized = await requests.authorize('connect').catch(() => undefined);
    if (authorized && !signal.aborted) {
      authorized.headers.set('Accept', 'text/event-stream');
      await readStream({
        send: (sending) => requests.send(endpoint(settings().url, '', {}), authorized, { signal: sending }),
        silenceMs: () => deadlineMs,
        signal: AbortSignal.any([signal, attempt.signal]),
        onHeard: () => {},
        onId: () => {},
        onRetry: () => {},
        onEvent: ({ event }) => {
          works ||= event === 'connected';
          if (works) attempt.abort();
        },
      });
    }
    cancel();
    if (signal.aborted) return;
    if (works) onStreamWorks();
    else this.#tryLater(trial + 1);
  }
}
