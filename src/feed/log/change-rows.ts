import type { LoggedChange, Operation, Origin } from '../../change.js';
import { learnEpochs, positionInForce } from './epochs.js';
import { statementOf } from './logged-scopes.js';
import type { Position } from './position.js';
import type { AgedChange } from './uncertain-order.js';

/** A row with a snapshot, and the epoch that it is of. */
export interface SnapshotRow {
  snapshot: string;
  /** The epoch in force; null where none is. */
  epoch: string | null;
  /** Epochs whose positions hold in it, with the `xmax` up to which they do; null where the reader knows them. */
  earlier: Record<string, string> | null;
}

/** The columns of a read that say where it ended, and nothing of a change. */
export const END_COLUMNS = ['snapshot', 'epoch', 'earlier', 'horizon', 'beat', 'orders'] as const;

/** A row of a read; `resource` is null where there is no change. */
export interface ReadingRow extends SnapshotRow, ChangeRow {
  horizon: string | null;
  /** The answers of {@link READ_AND_BEAT}: the standing of the session, and whether there is an order to all servers. */
  beat?: string;
  orders?: boolean;
}

/** A row of a read without {@link END_COLUMNS}: what the log says of a change, as JSON can carry it. */
export interface ChangeRow {
  /** Null where changes were summed up. */
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
  /** JSON: the scopes of which it is known what summed up changes did, `"*"` of all; null: of none. */
  known?: string | null;
  /** The columns of the scope of which the row tells one value of one change of a batch that was summed up. */
  columns?: string | null;
  value?: string | null;
  /** True where the change had several values of the scope. */
  several?: boolean | null;
}

/** Tells whether a row stands for changes that were summed up: no snapshot can tell which of them it has seen. */
export function isSummedUp({ xid, columns }: ChangeRow): boolean {
  return xid === null || columns != null;
}

/** Counts the changes that were read, those that were summed up one by one. */
export function changesIn(rows: readonly ChangeRow[]): number {
  return rows.reduce((sum, { resource, made }) => sum + (resource === null ? 0 : (made ?? 0)), 0);
}

/** Counts the changes of each resource, those that were summed up one by one. */
export function countsIn(rows: readonly ChangeRow[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { resource, made } of rows)
    if (resource !== null && made) counts.set(resource, (counts.get(resource) ?? 0) + made);
  return counts;
}

/** Makes one row of each resource of a batch that was summed up: that it changed, how often, and since when. */
export function namesIn(rows: readonly ChangeRow[]): ChangeRow[] {
  const ages = new Map<string, number>();
  for (const { resource, age_ms } of rows)
    if (resource !== null) ages.set(resource, Math.max(ages.get(resource) ?? 0, age_ms ?? 0));
  const nothing = { xid: null, operation: null, keys: null, scopes: null, data: null, origin: null };
  return Array.from(countsIn(rows), ([resource, made]) => ({
    ...nothing,
    resource,
    age_ms: ages.get(resource) ?? 0,
    made,
  }));
}

/** The change that a row tells; none for a row that stands for no change. */
export function changeOf(row: ChangeRow): AgedChange[] {
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
