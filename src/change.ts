import { parseTopic, type Scope } from './scope.js';

/** The operation of a statement on a watched table, or `emit` for an application's own event. */
export type Operation = 'insert' | 'update' | 'delete' | 'truncate' | 'emit';

/** The writer, as far as the writing session named it. Each text has at most 200 characters. */
export interface Origin {
  /** `application_name` of the writing session, `psql` for one. */
  readonly application?: string;
  /** The setting `change_feed.actor` of the writing transaction: here the `sub` of the token. */
  readonly actor?: string;
  /** The setting `change_feed.client`: the stream's clientId of the page that wrote. */
  readonly client?: string;
}

/** One change: what a statement did to a resource. It is a row of `change_feed.change`, and then an event. */
export interface Change {
  /** The resource that changed: the table's name, or the one that `change_feed.watch()` was given. */
  readonly resource: string;
  /** The scope whose rows changed, of a subscription to a scope. Absent: the change is about the whole resource. */
  readonly scope?: Scope;
  /** Absent: something changed, and how is not known. Refetch the rows that `keys` names, or all where it is absent. */
  readonly operation?: Operation;
  /**
   * Primary keys of the changed rows; a composite key is an array in the key's column order. bigint and numeric are
   * strings. Absent when there are more than 100, or none to name.
   */
  readonly keys?: readonly unknown[];
  /** The data of `change_feed.emit()`; null for JSON's null. Row contents are never here. */
  readonly data?: unknown;
  readonly origin?: Origin;
  /** `resync`: changes were missed and cannot be replayed. */
  readonly reason?: 'resync';
}

/** A change as it is in the log, with the transaction that made it. */
export interface LoggedChange extends Change {
  /** The id of the transaction. Absent where changes of several transactions became one. */
  readonly xid?: bigint;
  /**
   * The JSON text of `keys`, exactly as recorded. Clients receive this. `keys` is the result of JSON.parse, which rounds
   * numbers beyond 2^53.
   */
  readonly keysText?: string;
  /** The JSON text of `data`, exactly as Postgres keeps it (jsonb). `data` may be rounded, and this is not. */
  readonly dataText?: string;
  /**
   * The statements of this change, of a table with scopes: they decide what a subscriber of a scope receives. Absent: each
   * receives that something changed.
   */
  readonly statements?: readonly ScopedStatement[];
}

/** The values of a scope's columns in the rows that a statement changed, before or after the change. */
export interface ChangedValues {
  /** Each value with the JSON text of its rows' keys; undefined where they are not named. */
  readonly keys: ReadonlyMap<string, string | undefined>;
  /** True where the statement changed rows of several values, those among them that are not in `keys`. */
  readonly several: boolean;
}

/** A statement of the log, with what it changed of each scope. */
export interface ScopedStatement {
  /** The change in the log: its operation, origin, data and transaction. */
  readonly change: LoggedChange;
  /** Returns what it changed of the scopes over these columns. Undefined: not known, so it may be every value. */
  readonly valuesOf: (columns: string) => ChangedValues | undefined;
  /** The length of what it keeps for that, in UTF-16 units. */
  readonly size: number;
  /** The JSON text of scopes in the log; absent where the statement was read as one of many. */
  readonly text?: string;
}

/**
 * Makes the change that says: something changed in this topic, refetch it. It names no operation and no keys.
 * @param topic a resource's name, or the text of a scope.
 * @param reason `resync` where changes were missed and cannot be replayed; absent where several changes became one.
 */
export function refetchOf(topic: string, reason?: LoggedChange['reason']): LoggedChange {
  return { ...parseTopic(topic), ...(reason && { reason }) };
}
