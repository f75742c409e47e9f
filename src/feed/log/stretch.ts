import type { ChangeRow } from './change-rows.js';
import { hasSeen, isAtLeast, type Position } from './position.js';

/** Everything that committed between two positions, as somebody has read it: a fact, whoever tells it, and how often. */
export interface Stretch {
  /** Absent from the rows: what this has seen. */
  readonly from: Position;
  /** Nothing that this has seen is absent, but for what `from` has seen. */
  readonly to: Position;
  /** A row without a transaction id stands for many: its resource has changed. */
  readonly rows: readonly ChangeRow[];
}

/** A reader's step at a stretch: ignore it, read the log itself, or tell these rows and stand at its end. */
export type Step = 'ignore' | 'read' | readonly ChangeRow[];

/**
 * Tells what a reader does with a stretch. It relies on one property of Postgres: of two snapshots of one primary, one has
 * seen everything that the other has. So a reader that has seen the beginning of a stretch, and not all of it, stands
 * within it. That the reader stands exactly at its beginning is too much to ask for: reads of its own move it.
 * @param at where the reader stands.
 */
export function stepOf(at: Position, { from, to, rows }: Stretch): Step {
  if (isAtLeast(at, to)) return 'ignore';
  // Before its beginning, of another epoch, or of another primary
  if (!isAtLeast(at, from) || !isAtLeast(to, at)) return 'read';
  return rows.filter(({ xid }) => xid === null || !hasSeen(at, BigInt(xid)));
}
