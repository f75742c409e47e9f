import type { Client } from './client.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** Finds the clients that are subscribed to a resource, so that a change costs its own readers and nobody else. */
export class SubscriptionIndex {
  readonly #subscribers = new Map<string, Map<Client, Subscription>>();

  /** Subscribes a client. @returns its subscription, which may be there already. */
  add(client: Client, resource: string): Subscription {
    const known = client.subscriptions.get(resource);
    if (known) return known;
    const subscription: Subscription = { resource };
    client.subscriptions.set(resource, subscription);
    const subscribers = this.#subscribers.get(resource);
    if (subscribers) subscribers.set(client, subscription);
    else this.#subscribers.set(resource, new Map([[client, subscription]]));
    return subscription;
  }

  /** Ends a subscription, or does nothing where there is none. */
  delete(client: Client, resource: string): void {
    client.subscriptions.delete(resource);
    const subscribers = this.#subscribers.get(resource);
    subscribers?.delete(client);
    if (subscribers?.size === 0) this.#subscribers.delete(resource);
  }

  /** Ends all subscriptions of a client. */
  deleteAll(client: Client): void {
    for (const resource of [...client.subscriptions.keys()]) this.delete(client, resource);
  }

  /** The number of streams subscribed to each resource that has any; `*` for those that are subscribed to all. */
  *counts(): Iterable<readonly [resource: string, streams: number]> {
    for (const [resource, subscribers] of this.#subscribers) yield [resource, subscribers.size];
  }

  /** The number of streams that a change of a resource may reach. */
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
}
