import type { LoggedChange, Operation, Origin } from '../../change.js';
import { learnEpochs, positionInForce } from './epochs.js';
import { statementOf } from './logged-scopes.js';
import type { Position } from './position.js';
import type { AgedChange } from './uncertain-order.js';

/** What a read found. */
export interface Reading {
  /** Where the reader stands now: the next read goes on from here. */
  readonly position: Position;
  /**
   * What committed since, each row's changes in their order. More than 200 are summed up to one per resource; more than
   * 100, where the read before found as many.
   */
  readonly changes: readonly LoggedChange[];
  /**
   * The position that was read from does not hold any more (pruned, of another epoch, from the future): what committed
   * since then cannot be told, and `changes` is empty.
   */
  readonly lost: boolean;
  /**
   * When what was read was made, and how much that is: `tail` shows it, the metrics count it, and it decides whether the next
   * read is summed up. Absent where the stretch was known without a query.
   */
  readonly measured?: Measured;
}

/** Makes the reading of a position from which the changes cannot be read. @param position of now. */
export function lostReading(position: Position): Reading {
  return { position, changes: [], lost: true };
}

/** When what was read was made, as far as a reading can tell. */
export interface Measured {
  /** When the read was asked for, by performance.now(): before its snapshot was taken. */
  readonly begunAt: number;
  /**
   * How long before the reading each change's statement ran, in ms, by the database's clock alone (the column `at`); of
   * those that were summed up, the earliest of each resource.
   */
  readonly agesMs: readonly number[];
  /** How many changes were read, those that were summed up counted one by one. */
  readonly changes: number;
  /** Counts the same for each resource. */
  readonly countsOf: () => ReadonlyMap<string, number>;
}

/** A row with a snapshot, and the epoch that it is of. */
export interface SnapshotRow {
  snapshot: string;
  /** The epoch in force; null where none is. */
  epoch: string | null;
  /** Epochs whose positions hold in it, with the `xmax` up to which they do; null where the reader knows them. */
  earlier: Record<string, string> | null;
}

/** A row of a read; `resource` is null where there is no change. */
export interface ReadingRow extends SnapshotRow {
  horizon: string | null;
  xid: string | null;
  resource: string | null;
  /** `change`: something changed, and it is not known how. */
  operation: Operation | 'change' | null;
  /** JSON: an array, or the number of rows whose keys are not named; null of an own event. */
  keys: string | null;
  /** JSON: the keys, or the values alone, of each scope. */
  scopes: string | null;
  /** JSON: what an own event was given. */
  data: string | null;
  /** See {@link originOf}. */
  origin: string | null;
  /** The recorder ran one more command behind the INSERT; absent where changes were summed up. */
  rang?: boolean | null;
  /** Postgres' cmin; absent where changes were summed up. */
  command?: number | null;
  age_ms: number | null;
  made: number | null;
}

/** How many changes were read, those that were summed up counted one by one. */
export function changesIn(rows: readonly ReadingRow[]): number {
  return rows.reduce((sum, { resource, made }) => sum + (resource === null ? 0 : (made ?? 0)), 0);
}

/** Counts the changes of each resource, those that were summed up one by one. */
export function countsIn(rows: readonly ReadingRow[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { resource, made } of rows)
    if (resource !== null && made) counts.set(resource, (counts.get(resource) ?? 0) + made);
  return counts;
}

/** The change that a row tells; none for a row that stands for no change. */
export function changeOf(row: ReadingRow): AgedChange[] {
  if (row.resource === null) return [];
  const aged = {
    ageMs: row.age_ms ?? 0,
    command: row.command ?? 0,
    rang: row.rang === true,
  };
  if (row.operation === null) return [{ ...aged, change: { resource: row.resource } }];
  const origin = originOf(row.origin);
  const change: LoggedChange = {
    resource: row.resource,
    ...(row.operation !== 'change' && { operation: row.operation }),
    ...(row.keys?.startsWith('[') && { keys: JSON.parse(row.keys) as unknown[], keysText: row.keys }),
    ...(row.data !== null && { data: JSON.parse(row.data), dataText: row.data }),
    ...(origin && { origin }),
    ...(row.xid && { xid: BigInt(row.xid) }),
  };
  return [
    { ...aged, change: row.scopes === null ? change : { ...change, statements: [statementOf(change, row.scopes)] } },
  ];
}

/** Reads what `change_feed.readable_origin()` returns, JSON: an array of the application, the actor and the client. */
function originOf(text: string | null): Origin | undefined {
  if (text === null) return undefined;
  const [application, actor, client] = JSON.parse(text) as (string | null)[];
  if (!application && !client && !actor) return undefined;
  return { ...(application && { application }), ...(actor && { actor }), ...(client && { client }) };
}

/** The position of a row; undefined where there is no row, or no epoch in force. */
export function positionOf(row: SnapshotRow | undefined): Position | undefined {
  if (!row?.epoch) return undefined;
  if (row.earlier) learnEpochs(row.epoch, row.earlier);
  return positionInForce(row.epoch, row.snapshot);
}
