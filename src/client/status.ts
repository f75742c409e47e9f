import { now } from './timing.js';

/**
 * Where a service stands:
 * - `idle`: nobody listens, or `disconnect()` was called;
 * - `connecting`: a request is under way;
 * - `connected`: every change is told as it commits;
 * - `stale`: the stream is open, but the server cannot read the database;
 * - `waiting`: an attempt failed, or the stream ended; `nextAttemptAt` says when the next attempt begins;
 * - `offline`: the same, while the browser says that there is no network; the next attempt begins at once when it is back;
 * - `resting`: attempts have failed for two minutes and are made once a minute;
 * - `paused`: the tab is hidden;
 * - `unauthorized`: there is no token that the server takes;
 * - `revoked`: the server has ended the rights of this person; it connects again only after `connect()`.
 */
export type SSEStatus =
  | 'idle'
  | 'connecting'
  | 'connected'
  | 'stale'
  | 'waiting'
  | 'offline'
  | 'resting'
  | 'paused'
  | 'unauthorized'
  | 'revoked';

/** A status with its times, both in ms since 1970 by `performance.timeOrigin + performance.now()`. */
export interface SSEState {
  readonly status: SSEStatus;
  /** Changes since then may not have been told; null while all are, and while nobody listens. */
  readonly staleSince: number | null;
  /** When the next attempt begins; null while none is planned. */
  readonly nextAttemptAt: number | null;
}

/** Nobody listens. */
export const IDLE: SSEState = { status: 'idle', staleSince: null, nextAttemptAt: null };

/** Whether nothing is gained by another attempt. */
export function isLive({ status }: SSEState): boolean {
  return status === 'connected' || status === 'stale' || status === 'connecting';
}

/**
 * The state that follows another; undefined where nothing changes.
 * @param liveUntil up to when a live page was told of everything, by `now()`.
 */
export function nextState(
  before: SSEState,
  status: SSEStatus,
  nextAttemptAt: number | null,
  liveUntil: number,
): SSEState | undefined {
  if (status === before.status && nextAttemptAt === before.nextAttemptAt) return undefined;
  if (status === 'connected' || status === 'idle') return { status, staleSince: null, nextAttemptAt };
  // What never was live is stale since it was asked for.
  const begun = before.status === 'connected' ? liveUntil : now();
  return { status, staleSince: before.staleSince ?? begun, nextAttemptAt };
}
