/** More clients than this that receive a change at once are asked to spread their refetches. */
export const SPREAD_FROM = 100;
/** ms of spread for each client: about a thousand refetches a second, over ten seconds at the most. */
const SPREAD_MS_PER_CLIENT = 1;
const MAX_SPREAD_MS = 10_000;
/** The time after the spread in which slow clients still refetch, in ms. */
const LATE_MS = 10_000;

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
    if (clients <= SPREAD_FROM) return 0;
    const spread = Math.min(clients * SPREAD_MS_PER_CLIENT, MAX_SPREAD_MS);
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
