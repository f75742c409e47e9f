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
  /** All resources that somebody listens to. */
  readonly wanted: () => readonly string[];
  /** The stream brings a resource from now on. */
  readonly onCovered: (resource: string, signal: AbortSignal) => void;
  /** Several resources are new: another stream costs one request, and calls one each. */
  readonly onSeveral: () => void;
  /** The server has no such stream any more, though it seemed open. */
  readonly onStreamGone: () => void;
}

/** Keeps the open stream subscribed to what somebody listens to, by a call where one resource comes or goes. */
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

  /** Whether the open stream brings a resource. */
  brings(resource: string): boolean {
    const open = this.#stream && !this.#stream.signal.aborted;
    return open === true && this.#subscribed.has(resource) && !this.#refused.has(resource);
  }

  /** The resources for the URL of a stream that is about to be opened. */
  forUrl(): readonly string[] {
    this.#stream = undefined;
    return this.#singly ? [] : this.#options.wanted();
  }

  /** A stream is open that brings these resources. */
  opened(stream: SubscribedStream, resources: readonly string[]): void {
    this.#stream = stream;
    this.#subscribed = new Set(resources);
    this.#refused.clear();
    this.reconcile();
  }

  /** From now on each resource is subscribed by itself. @returns whether that is new. */
  goSingly(): boolean {
    const before = this.#singly;
    this.#singly = true;
    return !before;
  }

  /** Makes the open stream bring a resource if, and only if, somebody listens. */
  reconcile(): void {
    this.#cancel();
    this.#cancel = later(TOGETHER_MS, () => void this.#reconcileNow());
  }

  async #reconcileNow(): Promise<void> {
    const stream = this.#stream;
    if (!stream || stream.signal.aborted || this.#calling) return;
    const wanted = this.#options.wanted();
    const added = wanted.filter((resource) => !this.#subscribed.has(resource));
    const gone = [...this.#subscribed].filter((resource) => !wanted.includes(resource));
    if (added.length > 1 && !this.#singly) return this.#options.onSeveral();
    const [next] = [...added, ...gone];
    if (next === undefined) return;
    this.#calling = true;
    try {
      await this.#call(stream, next, added.length > 0);
    } finally {
      this.#calling = false;
    }
    this.reconcile();
  }

  async #call({ clientId, signal }: SubscribedStream, resource: string, added: boolean): Promise<void> {
    const { settings, requests, wanted, onCovered, onSeveral, onStreamGone } = this.#options;
    const isWanted = () => wanted().includes(resource);
    const call = { settings, requests, clientId, resource, isWanted, signal };
    const calls = await loadCalls();
    if (signal.aborted) return;
    // A stream that takes the place of this one needs no code that is not there.
    if (!calls) return onSeveral();
    if (!added) {
      // Who has come back meanwhile was told that its changes come already.
      if (isWanted()) return;
      this.#subscribed.delete(resource);
      if (!this.#refused.delete(resource)) await calls.unsubscribe(call);
      return;
    }
    const result = await calls.subscribe(call);
    if (signal.aborted || result === 'over') return;
    if (result === 'stream gone') return onStreamGone();
    this.#subscribed.add(resource);
    if (result === 'refused') this.#refused.add(resource);
    else onCovered(resource, signal);
  }
}

/** The code for calls is loaded when it is needed. Undefined where it cannot be had. */
async function loadCalls() {
  try {
    const { subscribe, unsubscribe } = await import('./subscription-calls.js');
    return { subscribe, unsubscribe };
  } catch {
    return undefined;
  }
}
