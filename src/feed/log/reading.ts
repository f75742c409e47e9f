import type { LoggedChange } from '../../change.js';
import {
  type ChangeRow,
  changeOf,
  changesIn,
  countsIn,
  isSummedUp,
  namesIn,
  positionOf,
  type ReadingRow,
} from './change-rows.js';
import { epochId, positionInForce, resolve } from './epochs.js';
import { formatSnapshot, isAtLeast, type Position } from './position.js';
import { summedUpChanges } from './summed-up-changes.js';
import { withoutUncertainOrder } from './uncertain-order.js';

/** The result of a read. */
export interface Reading {
  /** The position of the reader now: the next read goes on from here. */
  readonly position: Position;
  /**
   * The changes that committed since, each row's changes in their order. More than 200 are summed up to one per resource; more than
   * 100, where the read before found as many.
   */
  readonly changes: readonly LoggedChange[];
  /**
   * The rows that say so, for other servers, that need not read then: of what was summed up the names alone. Absent where
   * clients share the reading.
   */
  readonly rows?: readonly ChangeRow[];
  /**
   * The position that was read from does not hold any more (pruned, of another epoch, from the future): what committed
   * since then cannot be told, and `changes` is empty.
   */
  readonly lost: boolean;
  /**
   * The age and number of the changes: `tail` shows them, the metrics count them, and they decide whether
   * the next read is summed up. Absent where the stretch was known without a query.
   */
  readonly measured?: Measured;
}

/** The age of the changes of a reading, as far as it can tell, and their number. */
export interface Measured {
  /** The time at which the read was asked for, by performance.now(): before its snapshot was taken. */
  readonly begunAt: number;
  /** The time at which the changes were known here, by performance.now(): from the read, or from the server that has read them. */
  readonly readAt: number;
  /**
   * The time from each change's statement to the reading, in ms, by the database's clock alone (the column `at`); of
   * those that were summed up, the earliest of each resource.
   */
  readonly agesMs: readonly number[];
  /** The number of changes, those that were summed up counted one by one. */
  readonly changes: number;
  /** Counts the same for each resource. */
  readonly countsOf: () => ReadonlyMap<string, number>;
}

/** The parameters of a read. @param resources only these; null: all. */
export function readParameters(since: Position, resources: readonly string[] | null = null): unknown[] {
  return [formatSnapshot(since), resources, epochId(since)];
}

/** Makes the reading of a position from which the changes cannot be read. @param position of now. */
export function lostReading(position: Position): Reading {
  return { position, changes: [], lost: true };
}

/**
 * Makes the reading of what a read returned; undefined where no epoch is in force.
 * @param since where it began.
 * @param begunAt when, by performance.now().
 */
export function readingIn(rows: readonly ReadingRow[], since: Position, begunAt: number): Reading | undefined {
  const position = positionOf(rows[0]);
  if (!position) return undefined;
  const { epoch, horizon } = rows[0] as { epoch: string } & ReadingRow;
  const from = resolve(since);
  const lost = !isAtLeast(position, from) || (horizon != null && !isAtLeast(from, positionInForce(epoch, horizon)));
  if (lost) return lostReading(position);
  return readingOf(
    position,
    rows.filter(({ resource }) => resource !== null),
    begunAt,
  );
}

/** Makes the reading of rows, whoever has read them. @param begunAt when they were asked for, by performance.now(). */
export function readingOf(position: Position, rows: readonly ChangeRow[], begunAt: number): Reading {
  const summedUp = rows.filter(isSummedUp);
  const single = summedUp.length === 0 ? rows : rows.filter((row) => !isSummedUp(row));
  const told = [...withoutUncertainOrder(single.flatMap(changeOf)), ...summedUpChanges(summedUp)];
  const measured: Measured = {
    begunAt,
    readAt: performance.now(),
    agesMs: told.map(({ ageMs }) => ageMs),
    changes: changesIn(rows),
    countsOf: () => countsIn(rows),
  };
  return {
    position,
    changes: told.map(({ change }) => change),
    rows: summedUp.length === 0 ? rows : [...single, ...namesIn(summedUp)],
    lost: false,
    measured,
  };
}
