/** What a statement did to a watched table, or `emit` for an application's own event. */
export type Operation = 'insert' | 'update' | 'delete' | 'truncate' | 'emit';

/** Who wrote, as far as the writing session said. Each at most 200 characters. */
export interface Origin {
  /** `application_name` of the writing session, `psql` for one. */
  readonly application?: string;
  /** The setting `change_feed.actor` of the writing transaction: here the `sub` of the token. */
  readonly actor?: string;
  /** The setting `change_feed.client`: the stream's clientId of the page that wrote. */
  readonly client?: string;
}

/** One change, the noun that runs through every stage: a row of `change_feed.change`, then an event. */
export interface Change {
  /** What changed: the table's name unless `change_feed.watch()` was told another. */
  readonly resource: string;
  /** Absent: something changed, and it is not known how. Refetch the rows that `keys` names, or all where it is absent. */
  readonly operation?: Operation;
  /**
   * Primary keys of the changed rows; a composite key is an array in the key's column order. bigint and numeric are
   * strings. Absent when there are more than 100, or none to name.
   */
  readonly keys?: readonly unknown[];
  /** What `change_feed.emit()` was given; null for JSON's null. Row contents are never here. */
  readonly data?: unknown;
  readonly origin?: Origin;
  /** `resync`: changes were missed and cannot be replayed. */
  readonly reason?: 'resync';
}

/** A change as it stands in the log, with the transaction that made it. */
export interface LoggedChange extends Change {
  /** Absent where changes of several transactions were summed up. */
  readonly xid?: bigint;
  /**
   * `keys` as JSON text, exactly as recorded. Clients receive this; `keys` is what JSON.parse makes of it, which rounds
   * numbers beyond 2^53.
   */
  readonly keysText?: string;
  /** `data` as JSON text, exactly as Postgres keeps it (jsonb). The same holds: `data` may be rounded, and this is not. */
  readonly dataText?: string;
}
