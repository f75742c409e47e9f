/** A row of `change_feed.reach()`: how far a change has come, on all servers or on one. */
export interface Reach {
  /** `all`, or the id of a server. */
  readonly server: string;
  readonly resource: string | null;
  /** True where the server has read the change; null where no server runs. */
  readonly has_read: boolean | null;
  /** Streams to which the change was sent, or where `handed` is null the streams that are subscribed now. */
  readonly subscribed: number | null;
  /** Sockets that have it. */
  readonly handed: number | null;
  /** Streams that do not read fast enough, and receive it later. */
  readonly behind: number | null;
  /** The longest possible time from the commit until the last socket had it, in ms. */
  readonly ms: number | null;
  /** The same as a sentence. */
  readonly says: string;
}

/** The columns of a {@link Reach}, for a statement. */
export const reachColumns = 'server, resource, has_read, subscribed::int, handed::int, behind::int, ms::float8, says';
