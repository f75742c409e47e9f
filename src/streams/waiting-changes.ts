import { type LoggedChange, refetchOf } from '../change.js';
import { formatTopic } from '../scope.js';
import { MAX_WAITING } from './limits.js';

/** Keeps live changes, in their order, until the replays before them have been sent. */
export class WaitingChanges {
  #changes: LoggedChange[] = [];
  /** Instead of the changes, once there are too many. */
  #topics: Set<string> | undefined;

  /** Adds a change behind all others. */
  push(change: LoggedChange): void {
    if (this.#topics) this.#topics.add(formatTopic(change));
    else this.#changes.push(change);
    if (this.#changes.length <= MAX_WAITING) return;
    this.#topics = new Set(this.#changes.map(formatTopic));
    this.#changes = [];
  }

  /** Returns all: the changes, or where they were too many one for each topic that says to refetch it. */
  all(): readonly LoggedChange[] {
    return this.#topics ? Array.from(this.#topics, (topic) => refetchOf(topic)) : this.#changes;
  }
}
