import { atMost } from '../at-most.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import type { LogState } from '../feed/log/log-state.js';

/** The longest time that a request for metrics waits for the database, in ms. */
const LONGEST_WAIT_MS = 1000;

/** The state of the log for metrics: one query at a time, however many ask. */
export class LatestLogState {
  readonly #feed: ChangeFeed;
  #query: Promise<LogState | undefined> | undefined;
  #watched: readonly string[] = [];

  constructor(feed: ChangeFeed) {
    this.#feed = feed;
  }

  /** Names that tables are watched as, as last known. */
  get watched(): readonly string[] {
    return this.#watched;
  }

  /** The state of now; undefined where the database doesn't tell it in time. */
  current(): Promise<LogState | undefined> {
    this.#query ??= this.#read().finally(() => {
      this.#query = undefined;
    });
    // A query that takes longer goes on, and those who ask meanwhile start no other.
    return atMost(LONGEST_WAIT_MS, this.#query);
  }

  async #read(): Promise<LogState | undefined> {
    try {
      const state = await this.#feed.logState();
      this.#watched = state.watched;
      return state;
    } catch {
      return undefined; // the feed's own reads say why, in the log
    }
  }
}
