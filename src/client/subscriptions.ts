import type { Settings } from './options.js';
import type { Requests } from './requests.js';
import { later } from './timing.js';

/** The time in which listeners that come and go lead to one step, in ms: a new view ends and begins several. */
const TOGETHER_MS = 20;

/** The stream of the calls. */
export interface SubscribedStream {
  /** The server's name for it. */
  readonly clientId: string;
  /** Aborted when the stream ends: its subscriptions end with it. */
  readonly signal: AbortSignal;
}

/** The parts of the subscriptions. */
export interface SubscriptionsOptions {
  readonly settings: () => Settings;
  readonly requests: Requests;
  /** All topics that somebody listens to. */
  readonly wanted: () => readonly string[];
  /** Called when the stream has a topic from now on. */
  readonly onCovered: (topic: string, signal: AbortSignal) => void;
  /** Called when several topics are new: another stream costs one request, and calls one each. */
  readonly onSeveral: () => void;
  /** Called when the server has no such stream any more, although it seemed open. */
  readonly onStreamGone: () => void;
}

/** Keeps the open stream subscribed to the topics of all listeners, by a call for each topic that comes or goes. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  #stream: SubscribedStream | undefined;
  /** The topics that the stream has, or that the server refused. */
  #subscribed = new Set<string>();
  readonly #refused = new Set<string>();
  #calling = false;
  #cancel = () => {};
  #singly = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Tells whether the open stream has a topic. */
  brings(topic: string): boolean {
    const open = this.#stream && !this.#stream.signal.aborted;
    return open === true && this.#subscribed.has(topic) && !this.#refused.has(topic);
  }

  /** Returns the topics for the URL of the next stream. */
  forUrl(): readonly string[] {
    this.#stream = undefined;
    return this.#singly ? [] : this.#options.wanted();
  }

  /** Takes note of an open stream with these topics. */
  opened(stream: SubscribedStream, topics: readonly string[]): void {
    this.#stream = stream;
    this.#subscribed = new Set(topics);
    this.#refused.clear();
    this.reconcile();
  }

  /** Takes note that the server has ended a topic on the open stream. */
  ended(topic: string): void {
    this.#refused.add(topic);
  }

  /** Subscribes to each topic by itself from now on. @returns whether that is new. */
  goSingly(): boolean {
    const before = this.#singly;
    this.#singly = true;
    return !before;
  }

  /** Subscribes the open stream to a topic if, and only if, somebody listens. */
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
      // Another stream needs no code that could not be loaded.
      if (!call) return this.#options.onSeveral();
      const [subscribed, refused] = [this.#subscribed, this.#refused];
      await call({ ...this.#options, ...stream, topic, added: added.length > 0, subscribed, refused });
    } finally {
      this.#calling = false;
    }
    this.reconcile();
  }
}
