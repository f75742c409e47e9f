import type { Writable } from 'node:stream';

/** The reason why a stream ended. */
export type EndReason =
  | 'the client left'
  | 'the connection broke'
  | 'its token ended'
  | 'its rights were withdrawn'
  | 'the server stops'
  | 'the client did not read'
  | 'what it missed could not be read';

/** Counts of a server's streams, for metrics: numbers that only grow. */
export class StreamCounts {
  /** Streams that were opened. */
  opened = 0;
  /** `table-update` events that were written to a stream's socket. */
  deliveries = 0;
  /** Those among them that sum up several changes. */
  summedUp = 0;
  /** Replays that were not possible, after which one client received a resync. */
  resyncs = 0;
  /** Streams that have ended, by reason. */
  readonly closed: Record<EndReason, number> = {
    'the client left': 0,
    'the connection broke': 0,
    'its token ended': 0,
    'its rights were withdrawn': 0,
    'the server stops': 0,
    'the client did not read': 0,
    'what it missed could not be read': 0,
  };
}

/** Tells from a socket that the client left, with a FIN, or that the connection broke. */
export function endedByOther({ errored }: Writable): EndReason {
  return errored ? 'the connection broke' : 'the client left';
}
