import { Histogram } from 'prom-client';
import type { Measured, Reading } from './log/reading.js';

/** Counts of a feed since its start: numbers that only grow, which metrics read when somebody asks for them. */
export class FeedCounts {
  /** Changes that were read, one for each statement, also where a big reading was summed up. */
  changes = 0;
  /** Times that changes could not be replayed, so that every client received a resync. */
  losses = 0;
  /** Notifications that were received: from writers, from the leader where that is another server, and from anybody else. */
  readonly notifications = { writer: 0, leader: 0, other: 0 };
  /**
   * Messages of the leader by what became of them: told; known already; missed (one before was lost, so the log was read);
   * brief (more had changed than a message holds, so the log was read).
   */
  readonly messages = { told: 0, known: 0, missed: 0, brief: 0 };
  /** Stretches that clients had missed, and where they were found. */
  readonly replays = { memory: 0, log: 0 };
  /** The times from commit until the last socket had the change: see {@link FeedCounts.lagsMs}. */
  readonly lag = new Histogram({
    name: 'pg_change_feed_lag_seconds',
    help: "At most so long from a change's commit until it was handed to the last socket: from the end of its statement, or from the read before, which did not see it yet, whichever was later",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [],
  });
  /** The time at which the last notification of a change was received, by performance.now(). */
  heardAt = Number.NEGATIVE_INFINITY;
  #readBegunAt = Number.NEGATIVE_INFINITY;

  /** Counts a notification that is not this server's own. */
  heard(from: keyof FeedCounts['notifications']): void {
    this.heardAt = performance.now();
    this.notifications[from] += 1;
  }

  /** Counts a reading of the feed itself, after all listeners have received it. */
  read({ measured, lost }: Reading): void {
    if (lost) this.losses += 1;
    if (!measured) return;
    this.changes += measured.changes;
    // prom-client throws on what is no number, and a row stamped `infinity` must not stop the feed.
    for (const lagMs of this.lagsMs(measured).filter(Number.isFinite)) this.lag.observe(lagMs / 1000);
    this.#readBegunAt = measured.begunAt;
  }

  /**
   * Returns for each change of a reading the longest possible time since its commit, in ms. The commit follows the statement,
   * whose time the change has; it also follows the reading before, which did not see the change. The later of the two counts.
   * It adds up only spans of time, each by one clock.
   */
  lagsMs({ begunAt, agesMs }: Measured): number[] {
    const now = performance.now();
    return agesMs.map((age) => Math.max(Math.min(age + now - begunAt, now - this.#readBegunAt), 0));
  }
}
