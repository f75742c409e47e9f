import { atMost } from '../at-most.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import type { LogState } from '../feed/log/log-state.js';

/** The longest time that a request for metrics waits for the database, in ms. */
const LONGEST_WAIT_MS = 1000;

/** Reads the state of the log for metrics, with one query at a time for all requests. */
export class LatestLogState {
  readonly #feed: ChangeFeed;
  #query: Promise<LogState | undefined> | undefined;
  #watched: readonly string[] = [];

  constructor(feed: ChangeFeed) {
    this.#feed = feed;
  }

  /** The names that tables are watched as, as last read. */
  get watched(): readonly string[] {
    return this.#watched;
  }

  /** Reads the state of now; undefined where the database doesn't answer in time. */
  current(): Promise<LogState | undefined> {
    this.#query ??= this.#read().finally(() => {
      this.#query = undefined;
    });
    // A query that takes longer continues, and requests meanwhile start no other.
    return atMost(LONGEST_WAIT_MS, this.#query);
  }

  async #read(): Promise<LogState | undefined> {
    try {
      const state = await this.#feed.logState();
      this.#watched = state.watched;
      return state;
    } catch {
      return undefined; // the feed's own reads log the reason
    }
  }
}
