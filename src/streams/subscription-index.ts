import type { LoggedChange } from '../change.js';
import type { Client } from './client.js';
import type { Rights } from './rights.js';
import { type ScopeDelivery, ScopeIndex } from './scope-index.js';
import { type ScopedTopic, scopedTopic } from './scoped-topic.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** Finds the clients that are subscribed to a topic, so that a change costs its own readers and nobody else. */
export class SubscriptionIndex {
  /** To whole resources, and to `*`. */
  readonly #subscribers = new Map<string, Map<Client, Subscription>>();
  readonly #scopes: ScopeIndex;

  /** @param onFollowed see {@link ScopeIndex}. */
  constructor(onFollowed: (followed: boolean) => void) {
    this.#scopes = new ScopeIndex(onFollowed);
  }

  /** Subscribes a client. @returns its subscription, which may be there already. */
  add(client: Client, topic: string): Subscription {
    const known = client.subscriptions.get(topic);
    if (known) return known;
    const subscription: Subscription = { client, topic };
    client.subscriptions.set(topic, subscription);
    const scope = scopedTopic(topic);
    if (scope) {
      this.#scopes.add(scope, subscription);
      return subscription;
    }
    const subscribers = this.#subscribers.get(topic);
    if (subscribers) subscribers.set(client, subscription);
    else this.#subscribers.set(topic, new Map([[client, subscription]]));
    if (topic === EVERY_RESOURCE) for (const granted of client.grantedScopes) this.#scopes.add(granted, subscription);
    return subscription;
  }

  /** Ends a subscription, or does nothing where there is none. */
  delete(client: Client, topic: string): void {
    const subscription = client.subscriptions.get(topic);
    if (!subscription) return;
    client.subscriptions.delete(topic);
    const scope = scopedTopic(topic);
    if (scope) this.#scopes.delete(scope, subscription);
    const subscribers = this.#subscribers.get(topic);
    subscribers?.delete(client);
    if (subscribers?.size === 0) this.#subscribers.delete(topic);
    if (topic === EVERY_RESOURCE)
      for (const granted of client.grantedScopes) this.#scopes.delete(granted, subscription);
  }

  /** Gives a client other rights: a subscription to `*` receives the scopes that these name. */
  replaceRights(client: Client, rights: Rights): void {
    const every = client.subscriptions.get(EVERY_RESOURCE);
    if (every) for (const granted of client.grantedScopes) this.#scopes.delete(granted, every);
    client.replaceRights(rights);
    if (every) for (const granted of client.grantedScopes) this.#scopes.add(granted, every);
  }

  /** Ends all subscriptions of a client. */
  deleteAll(client: Client): void {
    for (const topic of [...client.subscriptions.keys()]) this.delete(client, topic);
  }

  /** Ends the subscription to one scope, of a client that is subscribed to it or to `*`. */
  deleteScope(scope: ScopedTopic, subscription: Subscription): void {
    this.#scopes.delete(scope, subscription);
    if (subscription.topic === scope.text) subscription.client.subscriptions.delete(scope.text);
  }

  /**
   * The number of streams that are subscribed to each resource or to scopes of it, if there are any; `*` for those to all. A
   * stream that is subscribed to a resource and to scopes of it counts twice.
   */
  counts(): ReadonlyMap<string, number> {
    const counts = new Map(Array.from(this.#subscribers, ([resource, { size }]) => [resource, size]));
    for (const [resource, count] of this.#scopes.counts()) counts.set(resource, (counts.get(resource) ?? 0) + count);
    return counts;
  }

  /** The scopes that somebody is subscribed to. */
  get scopes(): Pick<ScopeIndex, 'isEmpty' | 'columnsOf' | 'scopesOver'> {
    return this.#scopes;
  }

  /** The number of streams that a change of a whole resource may reach. */
  audienceOf(resource: string): number {
    return (this.#subscribers.get(resource)?.size ?? 0) + (this.#subscribers.get(EVERY_RESOURCE)?.size ?? 0);
  }

  /** Calls `send` once for each client that receives changes of a resource, with the subscription that is the reason. */
  forEachTo(resource: string, send: (client: Client, subscription: Subscription) => void): void {
    const direct = this.#subscribers.get(resource);
    for (const [client, subscription] of direct ?? []) send(client, subscription);
    for (const [client, subscription] of this.#subscribers.get(EVERY_RESOURCE) ?? []) {
      if (!direct?.has(client) && client.authorize(resource)) send(client, subscription);
    }
  }

  /** Lists what the subscribers of scopes receive of these changes. Those who have the whole resource receive it as the whole. */
  *scopeDeliveries(changes: readonly LoggedChange[]): Iterable<ScopeDelivery> {
    if (this.#scopes.isEmpty) return;
    for (const delivery of this.#scopes.deliveriesOf(changes)) {
      const { topic, subscriptions } = delivery;
      yield { ...delivery, subscriptions: subscriptions.filter((subscription) => isReason(subscription, topic)) };
    }
  }
}

/** Returns whether a subscription is the one for which its client receives a scope: each client receives it once. */
function isReason({ client, topic }: Subscription, { text, resource }: ScopedTopic): boolean {
  return !client.hasWhole(resource) && (topic === text || !client.subscriptions.has(text));
}
