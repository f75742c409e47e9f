import type { LoggedChange } from '../../change.js';
import { statementOfAnything } from './logged-scopes.js';
import { certainPartsOf, mixedGroups, type OperationGroup } from './operation-groups.js';

/** A change as the log has it, in the order of the log. */
export interface AgedChange {
  readonly change: LoggedChange;
  /** How long ago its statement ran, in ms. */
  readonly ageMs: number;
  /** The number of the command that recorded it, in its transaction: Postgres' cmin. */
  readonly command: number;
  /** The recorder ran one more command behind it, to have the servers notified. */
  readonly rang: boolean;
}

/**
 * Tells a key without its operation where one transaction did different things to it, and the log cannot say in which
 * order. AFTER triggers run when their whole query has ended, so what a trigger or a function of the query did in between
 * is logged before it, and the data-modifying CTEs of a query are logged by kind. "insert, delete" would then be told of a
 * row that exists. Without an operation the change says: refetch this row.
 *
 * Statements that follow each other keep their operations: see {@link stretches}. A key without an operation is told once,
 * where its last change was. Transactions are not compared with each other: each waits for the end of another that
 * changed the same key, except for a deferrable key, of which the recorder tells no deletion as one.
 */
export function withoutUncertainOrder(aged: readonly AgedChange[]): readonly AgedChange[] {
  const stretchOf = stretches(aged);
  const groups = mixedGroups(
    aged.map(({ change }) => change),
    (change) => {
      const stretch = stretchOf.get(change);
      if (stretch === undefined || change.operation === 'emit') return undefined;
      return JSON.stringify([`${change.xid}`, stretch, change.resource]);
    },
  );
  if (groups.size === 0) return aged;
  return aged.flatMap((row) => {
    const group = groups.get(row.change);
    return group ? toldParts(row.change, group).map((change) => ({ ...row, change })) : [row];
  });
}

/**
 * The parts of a change that are told. The statements of a whole group go with the first part of its last change, which
 * always has one: a change that is told with a later one has no part, and a scope's subscribers receive each statement once.
 */
function toldParts(change: LoggedChange, group: OperationGroup): LoggedChange[] {
  const parts = certainPartsOf(change, group);
  if (!group.changes.some(({ statements }) => statements)) return parts;
  const all = group.changes.flatMap((each) => each.statements ?? [statementOfAnything(each)]);
  return parts.map((part, place) => ({
    ...part,
    statements: change === group.changes.at(-1) && place === 0 ? all : [],
  }));
}

/**
 * Numbers the stretches of each transaction: a change of one was made before all changes of the next. Each statement that
 * writes is a command, and so is the INSERT that records it. Where one command alone is before each INSERT, it is the
 * statement that the INSERT records, so no other statement was under way. No command in between: the two changes are of
 * one statement. More commands: one may be a statement that is recorded later, and from there on no order is known.
 */
function stretches(aged: readonly AgedChange[]): Map<LoggedChange, number> {
  const ends = new Map<bigint, { next: number; stretch: number; known: boolean }>();
  const stretchOf = new Map<LoggedChange, number>();
  for (const { change, command, rang } of aged) {
    if (change.xid === undefined) continue;
    const { next, stretch, known } = ends.get(change.xid) ?? { next: 0, stretch: 0, known: true };
    const between = command - next;
    const follows = known && between === 1;
    const current = follows ? stretch + 1 : stretch;
    stretchOf.set(change, current);
    ends.set(change.xid, {
      next: command + (rang ? 2 : 1),
      stretch: current,
      // Of an own event it is not known whether a command follows.
      known: (follows || (known && between === 0 && next > 0)) && change.operation !== 'emit',
    });
  }
  return stretchOf;
}
