import { now } from './timing.js';

/**
 * The status of a service:
 * - `idle`: nobody listens, or `disconnect()` was called;
 * - `connecting`: a request is under way;
 * - `connected`: every change arrives as it commits;
 * - `stale`: the stream is open, but the server cannot read the database;
 * - `waiting`: an attempt failed, or the stream ended; `nextAttemptAt` says when the next attempt begins;
 * - `offline`: the same, while the browser says that there is no network; the next attempt begins at once when it is back;
 * - `resting`: attempts have failed for two minutes and are made once a minute;
 * - `paused`: the tab is hidden;
 * - `unauthorized`: there is no token that the server accepts;
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
  /** Changes since then may have been missed; null while none are, and while nobody listens. */
  readonly staleSince: number | null;
  /** The time of the next attempt; null while none is planned. */
  readonly nextAttemptAt: number | null;
}

/** The state while nobody listens. */
export const IDLE: SSEState = { status: 'idle', staleSince: null, nextAttemptAt: null };

/** Tells whether another attempt would be of no use. */
export function isLive({ status }: SSEState): boolean {
  return status === 'connected' || status === 'stale' || status === 'connecting';
}

/**
 * Returns the state that follows another; undefined where nothing changes.
 * @param liveUntil the time up to which a live page received everything, by `now()`.
 */
export function nextState(
  before: SSEState,
  status: SSEStatus,
  nextAttemptAt: number | null,
  liveUntil: number,
): SSEState | undefined {
  if (status === before.status && nextAttemptAt === before.nextAttemptAt) return undefined;
  if (status === 'connected' || status === 'idle') return { status, staleSince: null, nextAttemptAt };
  // A page that was never live is stale since its first listener.
  const begun = before.status === 'connected' ? liveUntil : now();
  return { status, staleSince: before.staleSince ?? begun, nextAttemptAt };
}
