import type { LoggedChange } from '../../change.js';
import { elementsOf } from '../../json-text.js';

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

/** Changes of one resource that one transaction made, between two moments of which the log knows the order. */
interface Group {
  readonly changes: LoggedChange[];
  /** Operations by the JSON of the key; those of changes that name no keys count for every key. */
  readonly operations: Map<string, Set<string>>;
  readonly keyless: Set<string>;
  /** The last change that has the key; `undefined` is the last that names no keys. */
  readonly last: Map<string | undefined, LoggedChange>;
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
  const groups = groupsOf(aged);
  if (groups.size === 0) return aged;
  return aged.flatMap((row) => {
    const group = groups.get(row.change);
    return group ? certainPartsOf(row.change, group).map((change) => ({ ...row, change })) : [row];
  });
}

/** The groups in which more than one kind of operation happened, by their changes. */
function groupsOf(aged: readonly AgedChange[]): Map<LoggedChange, Group> {
  const stretchOf = stretches(aged);
  const all = new Map<string, LoggedChange[]>();
  for (const { change } of aged) {
    const stretch = stretchOf.get(change);
    if (stretch === undefined || change.operation === 'emit') continue;
    const key = JSON.stringify([`${change.xid}`, stretch, change.resource]);
    const changes = all.get(key);
    if (changes) changes.push(change);
    else all.set(key, [change]);
  }
  const groups = new Map<LoggedChange, Group>();
  for (const changes of all.values()) {
    if (changes.every(({ operation }) => operation === changes[0]?.operation)) continue;
    const group = groupOf(changes);
    for (const change of changes) groups.set(change, group);
  }
  return groups;
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

function groupOf(changes: LoggedChange[]): Group {
  const group: Group = { changes, operations: new Map(), keyless: new Set(), last: new Map() };
  for (const change of changes) {
    if (!change.keys) {
      group.keyless.add(kindOf(change));
      group.last.set(undefined, change);
    }
    for (const key of (change.keys ?? []).map((part) => JSON.stringify(part))) {
      const operations = group.operations.get(key) ?? new Set();
      group.operations.set(key, operations.add(kindOf(change)));
      group.last.set(key, change);
    }
  }
  return group;
}

function certainPartsOf(change: LoggedChange, group: Group): LoggedChange[] {
  if (!change.keys) return group.last.get(undefined) === change ? [withoutOperation(change, group)] : [];
  const certain: number[] = [];
  const uncertain: number[] = [];
  for (const [place, key] of change.keys.entries()) {
    const text = JSON.stringify(key);
    const operations = new Set([...group.keyless, ...(group.operations.get(text) ?? [])]);
    if (operations.size === 1) certain.push(place);
    else if (group.last.get(text) === change) uncertain.push(place);
  }
  if (certain.length === change.keys.length) return [change];
  return [
    ...(certain.length > 0 ? [{ ...change, ...keysAt(change, certain) }] : []),
    ...(uncertain.length > 0 ? [{ ...withoutOperation(change, group), ...keysAt(change, uncertain) }] : []),
  ];
}

/** Some of a change's keys, and their text as it was recorded. */
function keysAt(
  { keys = [], keysText }: LoggedChange,
  places: readonly number[],
): Pick<LoggedChange, 'keys' | 'keysText'> {
  const texts = keysText === undefined ? undefined : elementsOf(keysText);
  return {
    keys: places.map((place) => keys[place]),
    ...(texts && { keysText: `[${places.map((place) => texts[place]).join(',')}]` }),
  };
}

function withoutOperation({ xid, resource, origin }: LoggedChange, group: Group): LoggedChange {
  const origins = new Set(group.changes.map((change) => JSON.stringify(change.origin)));
  return {
    resource,
    ...(origin && origins.size === 1 && { origin }),
    ...(xid !== undefined && { xid }),
  };
}

function kindOf({ operation }: LoggedChange): string {
  return operation ?? '';
}
