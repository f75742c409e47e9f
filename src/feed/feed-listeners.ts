import type { LoggedChange } from '../change.js';
import type { Logger } from '../logger.js';
import { epochId } from './log/epochs.js';
import type { Position } from './log/position.js';
import type { Measured, Reading } from './log/reading.js';

/** Receives every change of the feed, in order. */
export interface FeedListener {
  /** Takes what committed since the last call; `position` lies behind all of it. `measured` says when it was made. */
  onChanges(changes: readonly LoggedChange[], position: Position, measured?: Measured): void;
  /** Takes that what committed since the last call is not known: everything may have changed. */
  onLost(position: Position): void;
  /** Postgres was restarted, and nothing was lost: positions are written with the id of another epoch from now on. */
  onRestart?(): void;
}

/** Hands each reading to all listeners of a feed. */
export class FeedListeners {
  readonly #logger: Logger;
  readonly #listeners = new Set<FeedListener>();
  /** The id of the epoch of the last reading. */
  #epoch: string | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Adds a listener. @returns a function that removes it. */
  add(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hands a reading to all. */
  tell({ changes, position, lost, measured }: Reading): void {
    const epoch = epochId(position);
    const restarted = this.#epoch !== undefined && this.#epoch !== epoch && !lost;
    this.#epoch = epoch;
    if (restarted) for (const listener of this.#listeners) listener.onRestart?.();
    if (!lost && changes.length === 0) return;
    if (lost) this.#logger.warn('changes were missed that cannot be told: every client is told to refetch');
    for (const listener of this.#listeners) {
      try {
        if (lost) listener.onLost(position);
        else listener.onChanges(changes, position, measured);
      } catch (error) {
        // The position has advanced: this listener would never learn of what it did not take.
        this.#logger.error({ err: error }, 'a listener failed, and is told that it has missed changes');
        this.#tellLost(listener, position);
      }
    }
  }

  #tellLost(listener: FeedListener, position: Position): void {
    try {
      listener.onLost(position);
    } catch (error) {
      this.#logger.error({ err: error }, 'a listener failed again');
    }
  }
}
