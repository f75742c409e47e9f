import type { ChangeLog } from '../log/change-log.js';
import type { Position } from '../log/position.js';
import { RecentChanges } from './recent-changes.js';

/** The age of the oldest change in memory at the start, in seconds, where that is not too much. */
const PRELOAD_S = 300;

/**
 * Begins to read the log now, with the last minutes in memory: after a deployment all clients come back at once, and each
 * would ask the log.
 * @param size how many changes are kept in memory at the most. Default: 2000.
 */
export async function beginWithRecent(
  log: Pick<ChangeLog, 'begin' | 'earlierPosition' | 'read'>,
  size = 2000,
): Promise<{ readonly recent: RecentChanges; readonly position: Position }> {
  const now = await log.begin();
  const earlier = size > 0 ? await log.earlierPosition(PRELOAD_S) : undefined;
  if (!earlier) return { recent: new RecentChanges(size, now), position: now };
  const recent = new RecentChanges(size, earlier);
  const reading = await log.read(earlier);
  recent.add(reading);
  return { recent, position: reading.position };
}
