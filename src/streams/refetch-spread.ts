import type { ScopeDelivery } from './scope-index.js';

/** More clients than this that receive a change at once are asked to spread their refetches. */
export const SPREAD_FROM = 100;
/** ms of spread for each client: about a thousand refetches a second, over ten seconds at the most. */
const SPREAD_MS_PER_CLIENT = 1;
const MAX_SPREAD_MS = 10_000;
/** The time after the spread in which slow clients still refetch, in ms. */
const LATE_MS = 10_000;

/** The steps of the spread for those who receive that something changed in a scope, in ms: it tells little of how many they are. */
const COARSE_SPREADS_MS = [1000, MAX_SPREAD_MS];

/** Counts the subscriptions that receive what changed in scopes, by resource. */
export function readersOf(deliveries: readonly ScopeDelivery[]): ReadonlyMap<string, number> {
  const readers = new Map<string, number>();
  for (const { topic, subscriptions } of deliveries) {
    readers.set(topic.resource, (readers.get(topic.resource) ?? 0) + subscriptions.length);
  }
  return readers;
}

/**
 * Returns the longest time that each subscriber of a scope waits before it refetches, in ms; 0 for a few. Only the streams of
 * the scope count, because the number of others is no concern of theirs; where all scopes of the resource receive that
 * something changed, all streams do, and coarsely.
 * @param readers of all scopes of the resource.
 */
export function spreadOfScope({ subscriptions, everyone }: ScopeDelivery, readers: number): number {
  const own = spreadOf(subscriptions.length);
  if (!everyone) return own;
  const ms = spreadOf(readers);
  return ms === 0 ? 0 : Math.max(own, COARSE_SPREADS_MS.find((step) => step >= ms) ?? MAX_SPREAD_MS);
}

/** Returns the spread for so many clients, in ms; 0 for a few. */
function spreadOf(clients: number): number {
  return clients <= SPREAD_FROM ? 0 : Math.min(clients * SPREAD_MS_PER_CLIENT, MAX_SPREAD_MS);
}

/** Spreads the refetches of many clients that receive a change at once, and knows which resources they refetch now. */
export class RefetchSpread {
  readonly #refetched = new Map<string, { readonly state: number; readonly until: number }>();
  #state = 0;

  /**
   * Notes that a change goes out to so many clients.
   * @returns the longest time that each waits before it refetches, in ms; 0 for a few clients.
   */
  begin(resource: string, clients: number): number {
    this.#refetched.delete(resource);
    const spread = spreadOf(clients);
    if (spread === 0) return 0;
    this.#state += 1;
    this.#refetched.set(resource, { state: this.#state, until: performance.now() + spread + LATE_MS });
    return spread;
  }

  /** Forgets all states: changes were missed, and nobody knows of which resources. */
  forget(): void {
    this.#refetched.clear();
  }

  /**
   * Names the state of a resource while many clients refetch it: another number after each change.
   * @returns undefined while there are no such clients.
   */
  stateOf(resource: string): number | undefined {
    const refetched = this.#refetched.get(resource);
    if (refetched && performance.now() < refetched.until) return refetched.state;
    this.#refetched.delete(resource);
    return undefined;
  }
}
