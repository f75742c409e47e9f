import type { Listeners } from './listeners.js';
import type { Settings } from './options.js';
import { type SubscribedStream, subscribe, unsubscribe } from './subscribe.js';

/** What subscriptions stand on. */
export interface SubscriptionsOptions {
  readonly settings: () => Settings;
  readonly listeners: Listeners;
  /** The server has no such stream any more, though it seemed open. */
  readonly onStreamGone: () => void;
}

/**
 * Keeps the open stream subscribed to what somebody listens to: all of it in the stream's URL, what comes and goes later
 * by POST, each from the position at which its first listener came.
 */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  #stream: SubscribedStream | undefined;
  /** What the stream brings, or will once the call under way has been answered. */
  #subscribed = new Set<string>();
  /** What a stream has brought: up to the last event id nothing of it was missed. */
  readonly #known = new Set<string>();
  /** In the stream's URL, and not told from where its first listener came. */
  #missed: readonly string[] = [];
  readonly #since = new Map<string, string | undefined>();
  /** The last call for each resource: calls for one go out one after the other. */
  #calls = new Map<string, Promise<void>>();
  #singly = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Somebody begins to listen. @param since the position up to which everything is known. */
  want(resource: string, since: string | undefined): void {
    this.#known.delete(resource);
    this.#since.set(resource, since);
    this.reconcile(resource);
  }

  /** A stream is about to be opened. @returns the resources for its URL. */
  begin(since: string | undefined): readonly string[] {
    const { resources } = this.#options.listeners;
    this.#stream = undefined;
    this.#calls = new Map();
    for (const resource of this.#known) this.#since.set(resource, since);
    const inUrl = this.#singly ? [] : resources;
    this.#subscribed = new Set(inUrl);
    this.#missed = inUrl.filter((resource) => since === undefined || this.#since.get(resource) !== since);
    return inUrl;
  }

  /** The stream is open. */
  connected(stream: SubscribedStream): void {
    this.#stream = stream;
    const missed = this.#missed;
    this.#missed = [];
    for (const resource of this.#subscribed) this.#known.add(resource);
    for (const resource of missed) this.#options.listeners.tellMissed(resource);
    for (const resource of new Set([...this.#subscribed, ...this.#options.listeners.resources]))
      this.reconcile(resource);
  }

  /** From now on each resource is subscribed by itself. @returns whether that is new. */
  goSingly(): boolean {
    const before = this.#singly;
    this.#singly = true;
    return !before;
  }

  /** Makes the open stream bring a resource if, and only if, somebody listens. */
  reconcile(resource: string): void {
    const stream = this.#stream;
    if (!stream || stream.signal.aborted) return;
    const before = this.#calls.get(resource) ?? Promise.resolve();
    this.#calls.set(
      resource,
      before.then(() => this.#call(stream, resource)),
    );
  }

  async #call(stream: SubscribedStream, resource: string): Promise<void> {
    const { settings, listeners, onStreamGone } = this.#options;
    const wanted = listeners.resources.includes(resource);
    if (stream.signal.aborted || wanted === this.#subscribed.has(resource)) return;
    if (!wanted) {
      this.#subscribed.delete(resource);
      this.#known.delete(resource);
      return unsubscribe(settings(), stream, resource);
    }
    this.#subscribed.add(resource);
    const since = this.#since.get(resource);
    const result = await subscribe(settings(), stream, resource, since);
    if (stream.signal.aborted) return;
    if (result === 'stream gone') onStreamGone();
    if (result !== 'subscribed') return;
    this.#known.add(resource);
    if (since === undefined) listeners.tellMissed(resource);
  }
}
