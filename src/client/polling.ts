import type { ConnectionHandlers } from './connection-handlers.js';
import type { Settings } from './options.js';
import { type PollEnd, poll } from './poll.js';
import type { Requests } from './requests.js';
import { later, pause } from './timing.js';

/** The time that a server waits for a change, in s: below the 30 s after which many proxies give up. */
const WAIT_S = 25;
/** The longest time of a probe, in ms: a slow network is no proxy that keeps streams back. */
const PROBE_MS = 60_000;
/** The time between two polls while the server cannot read the log, in ms. */
const UNREADABLE_MS = 2000;
/** A poll that fails sooner than this was not cut while it waited, in ms. */
const CUT_FROM_MS = 1000;

/** The parts of polling. */
export interface PollingOptions {
  readonly settings: () => Settings;
  readonly requests: Requests;
  readonly handlers: ConnectionHandlers;
  /** Called with each answer: whether the server can read the log. */
  readonly onReadable: (readable: boolean) => void;
  /** The time that a stream had to begin, in ms: an answer gets as long after the wait. */
  readonly deadlineMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** A poll that was not answered. */
export type Unanswered = Exclude<PollEnd, { kind: 'answer' }>;

/**
 * Asks with long polls, where a proxy keeps streams back. A poll that is cut while it waits halves the wait of the next.
 */
export class Polling {
  readonly #options: PollingOptions;
  readonly #refused = new Set<string>();
  #waitS = WAIT_S;
  #current = new AbortController();
  #cancel = () => {};

  constructor(options: PollingOptions) {
    this.#options = options;
  }

  /** Asks once, without a wait. @returns the time that the answer took, in ms, or why there is none. */
  async probe(): Promise<number | Unanswered> {
    const begun = performance.now();
    let end = await this.#ask(0, PROBE_MS, this.#options.signal);
    if (isRefusal(end)) {
      await this.#findRefused();
      end = await this.#ask(0, PROBE_MS, this.#options.signal);
    }
    return end.kind === 'answer' ? performance.now() - begun : end;
  }

  /** Asks again and again. @returns why it cannot any more. */
  async run(): Promise<Unanswered> {
    const { signal, deadlineMs, onReadable } = this.#options;
    while (!signal.aborted) {
      const current = new AbortController();
      this.#current = current;
      const begun = performance.now();
      const end = await this.#ask(this.#waitS, deadlineMs, AbortSignal.any([signal, current.signal]));
      if (signal.aborted) break;
      if (current.signal.aborted) continue; // other topics are wanted
      if (end.kind === 'answer') {
        onReadable(end.readable);
        if (!end.readable) await pause(UNREADABLE_MS, signal);
      } else if (isRefusal(end)) {
        await this.#findRefused();
      } else if (
        end.kind === 'refused' &&
        end.status === 0 &&
        this.#waitS > 1 &&
        performance.now() - begun > CUT_FROM_MS
      ) {
        this.#waitS = Math.max(1, Math.floor(this.#waitS / 2));
      } else return end;
    }
    return { kind: 'closed' };
  }

  /** Takes note that other topics are wanted than the waiting poll asks for. */
  changed(): void {
    this.#cancel();
    this.#cancel = later(20, () => this.#current.abort());
  }

  async #ask(waitS: number, withinMs: number, signal: AbortSignal): Promise<PollEnd> {
    const { settings, requests, handlers } = this.#options;
    const { from, topics: all } = handlers.begin('poll');
    const topics = all.filter((topic) => !this.#refused.has(topic));
    if (topics.length === 0) {
      await pause(WAIT_S * 1000, signal);
      return { kind: 'closed' };
    }
    const ask = { settings: settings(), requests, topics, since: from, waitS, withinMs, signal };
    let end = await poll(ask);
    if (end.kind === 'refused' && end.status === 401) end = await poll({ ...ask, reason: 'refused' });
    if (end.kind !== 'answer' || signal.aborted) return end;
    handlers.bring({ type: 'begin', topics, from, resumed: true, anew: false }, this.#options.signal);
    for (const change of end.events) handlers.bring({ type: 'change', change });
    handlers.bring({ type: 'position', position: end.position });
    return end;
  }

  /** Asks for each topic by itself, because one refused name refuses them all. */
  async #findRefused(): Promise<void> {
    const { settings, requests, handlers, signal } = this.#options;
    const { from, topics } = handlers.begin('poll');
    for (const topic of topics) {
      if (this.#refused.has(topic)) continue;
      const ask = { settings: settings(), requests, topics: [topic], since: from, waitS: 0 };
      const end = await poll({ ...ask, withinMs: PROBE_MS, signal });
      if (!isRefusal(end)) continue;
      this.#refused.add(topic);
      settings().logger.warn(`SSE: the server refuses the resource ${topic} (${end.status})`);
    }
  }
}

/** Tells whether the server answers, and refuses a topic. */
function isRefusal(end: PollEnd): end is PollEnd & { kind: 'refused' } {
  return end.kind === 'refused' && (end.status === 400 || end.status === 403);
}
