/** More clients than this that are told at once are asked to spread their refetches. */
export const CROWD_FROM = 100;
/** ms of spread for each client: about a thousand refetches a second, over ten seconds at the most. */
const SPREAD_MS_PER_CLIENT = 1;
const MAX_SPREAD_MS = 10_000;
/** How long a crowd is expected after its spread, in ms. */
const LATE_MS = 10_000;

/** Crowds of clients that have been told of a change at once, and are about to refetch. */
export class Crowds {
  readonly #crowds = new Map<string, { readonly state: number; readonly until: number }>();
  #state = 0;

  /**
   * A change is being told.
   * @returns how long its clients wait at the most before they refetch, in ms; 0 for a few clients.
   */
  told(resource: string, clients: number): number {
    this.#crowds.delete(resource);
    if (clients <= CROWD_FROM) return 0;
    const spread = Math.min(clients * SPREAD_MS_PER_CLIENT, MAX_SPREAD_MS);
    this.#state += 1;
    this.#crowds.set(resource, { state: this.#state, until: performance.now() + spread + LATE_MS });
    return spread;
  }

  /** Nobody knows what has changed. */
  forget(): void {
    this.#crowds.clear();
  }

  /**
   * Names the state of a resource while a crowd is about to refetch it: another after each change. Undefined while there
   * is none.
   */
  stateOf(resource: string): number | undefined {
    const crowd = this.#crowds.get(resource);
    if (crowd && performance.now() < crowd.until) return crowd.state;
    this.#crowds.delete(resource);
    return undefined;
  }
}
