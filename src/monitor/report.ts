/** The length of a bucket of the history, in ms. */
export const BUCKET_MS = 5000;
/** The number of its buckets: an hour. */
export const BUCKETS = 720;

/** The state of a server, as it says it itself. Spans of time only, in ms: clocks of servers differ. */
export interface ServerState {
  readonly version: string;
  readonly startedAgoMs: number;
  readonly leading: boolean;
  /** True while it leads and each commit notifies. */
  readonly idle: boolean;
  /** True while it receives notifications. */
  readonly listening: boolean;
  /** True where no writer notifies, because transactions can be prepared. */
  readonly polling: boolean;
  /** The time since it last read the log; null while it cannot. */
  readonly readAgoMs: number | null;
  readonly position: string;
  readonly streams: number;
  /** Streams that do not read fast enough. */
  readonly behind: number;
  /** The delay from commit to socket in the last minute; null where nothing has changed. */
  readonly lagMs: { readonly half: number; readonly most: number } | null;
}

/** A server of the list. */
export interface ServerRow {
  readonly id: string;
  /** Its host and process id. */
  readonly place: string;
  /** True for the one that the page has its stream from. */
  readonly self: boolean;
  /**
   * `ok`: it answers. `silent`: it does not. `gone`: nor does it report any more. `off`: it has no monitor. `waiting`: it
   * has just been asked for the first time. `unknown`: the database cannot be reached, through which servers ask each other.
   */
  readonly answer: 'ok' | 'silent' | 'gone' | 'off' | 'waiting' | 'unknown';
  readonly answeredAgoMs: number | null;
  /** The state that it said last. */
  readonly state: ServerState | null;
}

/** The log, and the NOTIFY queue of the cluster. */
export interface LogReport {
  /** Changes in it, as noted each minute. */
  readonly rows: number;
  readonly bytes: number;
  /** The age of the oldest change, in seconds. */
  readonly ageS: number;
  /** The time since the horizon was noted, in seconds: what was committed before may have been pruned. Null: nothing was. */
  readonly horizonAgeS: number | null;
  /** The share of the NOTIFY queue that is in use, 0 to 1. */
  readonly queueUsage: number;
  readonly retentionS: number;
  readonly maxRows: number;
}

/** The data of `event: state`. */
export interface MonitorState {
  /** The server of the page first. */
  readonly servers: readonly ServerRow[];
  /** Null while the database does not answer. */
  readonly log: LogReport | null;
}

/** A change as the monitor shows it: nothing of a row but its keys and scopes. */
export interface ShownChange {
  readonly resource: string;
  /** Absent: something changed, and how is not known. */
  readonly operation?: string;
  /** JSON, cut off after 300 characters. */
  readonly keys?: string;
  /** JSON as the log has it, cut off after 300 characters. */
  readonly scopes?: string;
  readonly application?: string;
  readonly actor?: string;
  readonly client?: string;
  readonly xid?: string;
  /** The number of changes that it sums up; absent for one. */
  readonly count?: number;
  /** The time since its statement, in ms, when it was sent. */
  readonly agoMs: number;
  /** The longest possible time from its commit until the last socket had it, in ms. */
  readonly lagMs: number;
  /** Streams to which changes of the resource were sent with it, and those of them that are behind. */
  readonly streams: number;
  readonly behind: number;
}

/** The data of `event: changes`. */
export interface ShownChanges {
  readonly changes: readonly ShownChange[];
  /** Changes that are not shown, because there were too many or the page did not read. */
  readonly skipped: number;
}

/** A stretch of the last hour: one value of each series for each 5 s. */
export interface HistoryReport {
  /** The time since the end of the last bucket, in ms. */
  readonly endAgoMs: number;
  /** The number of buckets: each series has as many values, the earliest first. */
  readonly buckets: number;
  /** Changes of each resource. */
  readonly resources: Readonly<Record<string, readonly number[]>>;
  /** The delay from commit to socket in ms, of half and of 99 of 100 changes; null where nothing has changed. */
  readonly half: readonly (number | null)[];
  readonly most: readonly (number | null)[];
}

/** The history of each server that answers. */
export interface HistoryAnswer {
  readonly servers: readonly { readonly id: string; readonly self: boolean; readonly history: HistoryReport }[];
}

/** A stream of a server. */
export interface StreamRow {
  readonly server: string;
  readonly client: string;
  readonly subject: string;
  /** Resources and scopes, cut off after 300 characters together. */
  readonly topics: string;
  readonly openedAgoMs: number;
  readonly position: string;
  /** True while it does not read fast enough. */
  readonly full: boolean;
  /** Resources and scopes that it will have to refetch. */
  readonly behind: number;
}

/** Some streams of a server: those that are behind first, then the newest. */
export interface StreamList {
  readonly streams: readonly StreamRow[];
  /** All that fit the search. */
  readonly total: number;
}

/** The moments at which a test event passed the stages at a server: ms since its statement. */
export interface TraceReport {
  readonly server: string;
  /** Null: the server found it by a periodic read. */
  readonly notifiedMs: number | null;
  readonly readMs: number;
  readonly handedMs: number;
  readonly streams: number;
  readonly behind: number;
}

/** The way of a test event. */
export interface TestReport {
  readonly resource: string;
  readonly xid: string;
  /** The time from the call until the statement had run, and from then until the commit, in ms. */
  readonly writtenMs: number;
  readonly committedMs: number;
  readonly servers: readonly TraceReport[];
  /** The servers that have not read it within two seconds. */
  readonly missing: readonly string[];
}

/** A watched table. */
export interface TableRow {
  readonly relation: string;
  readonly resource: string;
  readonly keys: boolean;
  readonly scopes: readonly string[];
  /** The time since its last change; null where none is among the last 10,000. */
  readonly changedAgoMs: number | null;
}

/** Watched tables, and what the doctor says of them. */
export interface TablesReport {
  readonly tables: readonly TableRow[];
  readonly findings: readonly {
    readonly level: 'ok' | 'info' | 'warn' | 'fail';
    readonly about: string;
    readonly says: string;
    readonly cure?: string;
  }[];
}
