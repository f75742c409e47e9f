import { LagHistogram } from './lag-histogram.js';
import type { Measured, Reading } from './log/reading.js';
import { VACANT } from './notify/listener.js';

/** The payload of a leader's notification. */
const OF_LEADER = /^[0-9a-f]{16}$/;

/** What has happened to a feed since its start: plain numbers that only grow, for metrics to read when they are asked. */
export class FeedCounts {
  /** Changes that were read, one for each statement, also where a big reading was summed up. */
  changes = 0;
  /** Times that a stretch could not be told, and every client was told to refetch. */
  losses = 0;
  /** Notifications that were received: from writers, and from the leader where that is another server. */
  readonly notifications = { writer: 0, leader: 0 };
  /** Stretches that clients had missed, and where they were found. */
  readonly replays = { memory: 0, log: 0 };
  /** From commit until the change was handed to the last socket: see {@link FeedCounts.lagsMs}. */
  readonly lag = new LagHistogram();
  /** The time at which the last notification of a change was received, by performance.now(). */
  heardAt = Number.NEGATIVE_INFINITY;
  #readBegunAt = Number.NEGATIVE_INFINITY;

  /** Counts a notification of anyone but this server. */
  heard(payload: string): void {
    if (payload === VACANT) return;
    this.heardAt = performance.now();
    if (OF_LEADER.test(payload)) this.notifications.leader += 1;
    else this.notifications.writer += 1;
  }

  /** Takes a reading of the feed's own, when everybody has been told. */
  read({ measured, lost }: Reading): void {
    if (lost) this.losses += 1;
    if (!measured) return;
    this.changes += measured.changes;
    for (const lagMs of this.lagsMs(measured)) this.lag.observe(lagMs / 1000);
    this.#readBegunAt = measured.begunAt;
  }

  /**
   * Returns how long ago each change of a reading that is being told was committed, at most, in ms. A change says when its
   * statement ran, and the commit comes after that; it also comes after the reading before, which did not see it. The later
   * of the two counts. Only spans of time are added up, none of two clocks.
   */
  lagsMs({ begunAt, agesMs }: Measured): number[] {
    const now = performance.now();
    return agesMs.map((age) => Math.max(Math.min(age + now - begunAt, now - this.#readBegunAt), 0));
  }
}
