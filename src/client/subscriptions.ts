import { endpoint } from './endpoints.js';
import type { Settings } from './options.js';
import type { Requests } from './requests.js';
import { backoff, retryAfter } from './retry.js';
import { later, pause } from './timing.js';

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
      if (added.length > 0) await this.#subscribe(stream, next);
      else await this.#unsubscribe(stream, next);
    } finally {
      this.#calling = false;
    }
    this.reconcile();
  }

  async #subscribe(stream: SubscribedStream, resource: string): Promise<void> {
    const { settings, onCovered, onStreamGone } = this.#options;
    const begun = performance.now();
    let refusedToken = false;
    while (!stream.signal.aborted && this.#options.wanted().includes(resource)) {
      const response = await this.#post('subscribe', stream, resource, refusedToken);
      if (stream.signal.aborted || this.#stream !== stream) return;
      if (response?.ok) {
        const { watched } = (await response.json().catch(() => ({}))) as { watched?: boolean };
        if (watched === false) settings().logger.debug(`SSE: no table is watched as ${resource}`);
        this.#subscribed.add(resource);
        return onCovered(resource, stream.signal);
      }
      if (response?.status === 404) return onStreamGone();
      if (response?.status === 400 || response?.status === 403) return this.#refuse(resource, response);
      if (response?.status === 401 && !refusedToken) {
        refusedToken = true;
        continue;
      }
      refusedToken = false;
      const wait = response && retryAfter(response.headers);
      await pause(wait ?? backoff(performance.now() - begun, settings().retryBaseMs), stream.signal);
      this.#options.requests.forgive();
    }
  }

  /** Unsubscribes; where that fails the next stream comes without it. */
  async #unsubscribe(stream: SubscribedStream, resource: string): Promise<void> {
    this.#subscribed.delete(resource);
    if (!this.#refused.delete(resource)) await this.#post('unsubscribe', stream, resource, false);
  }

  /** The listener is never told of anything: that has to be seen. */
  async #refuse(resource: string, response: Response): Promise<void> {
    this.#subscribed.add(resource);
    this.#refused.add(resource);
    const { logger } = this.#options.settings();
    const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
    const text = `SSE: the server refuses the resource ${resource} (${response.status})`;
    (logger.warn ?? logger.debug).call(logger, body.error?.message ? `${text}: ${body.error.message}` : text);
  }

  async #post(
    action: 'subscribe' | 'unsubscribe',
    { clientId, signal }: SubscribedStream,
    resource: string,
    refusedToken: boolean,
  ): Promise<Response | undefined> {
    const { settings, requests } = this.#options;
    try {
      const authorized = await requests.authorize(refusedToken ? 'refused' : 'connect');
      if (!authorized) return undefined;
      authorized.headers.set('Content-Type', 'application/json');
      const body = JSON.stringify({ clientId, resource });
      const url = endpoint(settings().url, action, {});
      const response = await requests.send(url, authorized, { method: 'POST', body, signal });
      if (response.status === 401) requests.refuse(authorized);
      return response;
    } catch (error) {
      if (!signal.aborted) settings().logger.debug(`SSE: ${action} failed`, error);
      return undefined;
    }
  }
}
