import type { Settings } from './options.js';
import type { Requests } from './requests.js';
import { later } from './timing.js';

/** Listeners that come and go within this time are answered by one step, in ms: a new view ends and begins several. */
const TOGETHER_MS = 20;

/** The stream that calls are for. */
export interface SubscribedStream {
  /** The server's name for it. */
  readonly clientId: string;
  /** Aborted when the stream ends: its subscriptions end with it. */
  readonly signal: AbortSignal;
}

/** What subscriptions stand on. */
export interface SubscriptionsOptions {
  readonly settings: () => Settings;
  readonly requests: Requests;
  /** All topics that somebody listens to. */
  readonly wanted: () => readonly string[];
  /** The stream brings a topic from now on. */
  readonly onCovered: (topic: string, signal: AbortSignal) => void;
  /** Several topics are new: another stream costs one request, and calls one each. */
  readonly onSeveral: () => void;
  /** The server has no such stream any more, though it seemed open. */
  readonly onStreamGone: () => void;
}

/** Keeps the open stream subscribed to what somebody listens to, by a call where one topic comes or goes. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  #stream: SubscribedStream | undefined;
  /** What the stream brings, or what was refused to it. */
  #subscribed = new Set<string>();
  readonly #refused = new Set<string>();
  #calling = false;
  #cancel = () => {};
  #singly = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Tells whether the open stream brings a topic. */
  brings(topic: string): boolean {
    const open = this.#stream && !this.#stream.signal.aborted;
    return open === true && this.#subscribed.has(topic) && !this.#refused.has(topic);
  }

  /** The topics for the URL of a stream that is about to be opened. */
  forUrl(): readonly string[] {
    this.#stream = undefined;
    return this.#singly ? [] : this.#options.wanted();
  }

  /** A stream is open that brings these topics. */
  opened(stream: SubscribedStream, topics: readonly string[]): void {
    this.#stream = stream;
    this.#subscribed = new Set(topics);
    this.#refused.clear();
    this.reconcile();
  }

  /** The server has ended a topic on the open stream. */
  ended(topic: string): void {
    this.#refused.add(topic);
  }

  /** From now on each topic is subscribed by itself. @returns whether that is new. */
  goSingly(): boolean {
    const before = this.#singly;
    this.#singly = true;
    return !before;
  }

  /** Makes the open stream bring a topic if, and only if, somebody listens. */
  reconcile(): void {
    this.#cancel();
    this.#cancel = later(TOGETHER_MS, () => void this.#reconcileNow());
  }

  async #reconcileNow(): Promise<void> {
    const stream = this.#stream;
    if (!stream || stream.signal.aborted || this.#calling) return;
    const wanted = this.#options.wanted();
    const added = wanted.filter((topic) => !this.#subscribed.has(topic));
    const gone = [...this.#subscribed].find((topic) => !wanted.includes(topic));
    if (added.length > 1 && !this.#singly) return this.#options.onSeveral();
    const topic = added[0] ?? gone;
    if (topic === undefined) return;
    this.#calling = true;
    try {
      // The code for calls is loaded when it is needed.
      const call = await import('./subscription-calls.js').then(
        (loaded) => loaded.call,
        () => undefined,
      );
      if (stream.signal.aborted) return;
      // A stream that takes the place of this one needs no code that is not there.
      if (!call) return this.#options.onSeveral();
      const [subscribed, refused] = [this.#subscribed, this.#refused];
      await call({ ...this.#options, ...stream, topic, added: added.length > 0, subscribed, refused });
    } finally {
      this.#calling = false;
    }
    this.reconcile();
  }
}
