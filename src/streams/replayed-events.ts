import type { EncodedEvent } from './event-format.js';

/** The events of one replay. Clients that missed the same share them. */
export class ReplayedEvents {
  #topics: ReadonlySet<string> | undefined;

  /** @param events in the order in which they go out. */
  constructor(readonly events: readonly EncodedEvent[]) {}

  /** The topics that they are about. */
  get topics(): ReadonlySet<string> {
    this.#topics ??= new Set(this.events.map(({ topic }) => topic));
    return this.#topics;
  }
}
