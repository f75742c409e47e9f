import { type LoggedChange, refetchOf } from '../change.js';
import { MAX_WAITING } from './limits.js';

/** Keeps live changes, in their order, until the replays before them have been sent. */
export class WaitingChanges {
  #changes: LoggedChange[] = [];
  /** Instead of the changes, once there are too many. */
  #resources: Set<string> | undefined;

  /** Adds a change behind all others. */
  push(change: LoggedChange): void {
    if (this.#resources) this.#resources.add(change.resource);
    else this.#changes.push(change);
    if (this.#changes.length <= MAX_WAITING) return;
    this.#resources = new Set(this.#changes.map(({ resource }) => resource));
    this.#changes = [];
  }

  /** Returns all: the changes, or where they were too many one for each resource that says to refetch it. */
  all(): readonly LoggedChange[] {
    return this.#resources ? Array.from(this.#resources, (resource) => refetchOf(resource)) : this.#changes;
  }
}
