import type { Writable } from 'node:stream';

/** Why a stream ended. */
export type EndReason =
  | 'the client left'
  | 'the connection broke'
  | 'its token ended'
  | 'the server stops'
  | 'the client did not read'
  | 'what it missed could not be read';

/** What has happened to the streams of a server: plain numbers that only grow, for metrics to read when they are asked. */
export class StreamCounts {
  /** Streams that were opened. */
  opened = 0;
  /** Events that were handed to a stream's socket: `table-update` only. */
  deliveries = 0;
  /** Those among them that sum up what a client could not take one by one. */
  summedUp = 0;
  /** Stretches that could not be replayed to one client, which was told to refetch instead. */
  resyncs = 0;
  /** Streams that have ended, by why. */
  readonly closed: Record<EndReason, number> = {
    'the client left': 0,
    'the connection broke': 0,
    'its token ended': 0,
    'the server stops': 0,
    'the client did not read': 0,
    'what it missed could not be read': 0,
  };
}

/** How the other side has ended a connection: with a FIN or by a reset of one that it had left, or else not at all. */
export function endedByOther({ errored }: Writable): EndReason {
  return errored ? 'the connection broke' : 'the client left';
}
