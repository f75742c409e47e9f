/** The longest pause between two attempts, in ms: how late a server may find that the database is back. */
export const LONGEST_BACKOFF_MS = 2000;

/** The pause after the first failure, in ms: one broken connection delays a change no longer than that. */
const FIRST_BACKOFF_MS = 100;

/**
 * The pause before the next attempt, in ms: doubled with each failure in a row, up to the longest.
 * Up to a fifth is random, so that servers that failed together do not come back together.
 * @param failures in a row, from 1.
 */
export function backoffMs(failures: number, longestMs = LONGEST_BACKOFF_MS): number {
  const pause = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 30), longestMs);
  return pause * (1 - Math.random() / 5);
}
