import type { LoggedChange } from '../../change.js';
import { isAtLeast, type Position } from '../log/position.js';
import type { Reading } from '../log/reading.js';
import { missedOf, SharedAnswers } from './shared-answers.js';

/** The number of changes without data that take about the memory of one with data. */
const WEIGHT_OF_DATA = 20;

/** The length of scopes that takes about the memory of a change without them, in UTF-16 units. */
const SCOPES_PER_CHANGE = 3000;

/**
 * The last changes that a server has read. Clients that come back soon then need no query: the snapshot alone says which of
 * the changes a position has not seen.
 */
export class RecentChanges {
  readonly #size: number;
  #batches: { readonly changes: readonly LoggedChange[]; readonly end: Position }[] = [];
  #count = 0;
  #start: Position;
  /** Answers since the last reading. */
  readonly #answers = new SharedAnswers();

  /**
   * @param size how many changes are kept at the most; 0: none.
   * @param start where the first change that will be added begins.
   */
  constructor(size: number, start: Position) {
    this.#size = size;
    this.#start = start;
  }

  /** Takes what was read from where the last reading ended. */
  add({ changes, position, lost }: Reading): void {
    this.#answers.forget();
    // What was summed up can't be judged one by one.
    if (lost || weightOf(changes) > this.#size || changes.some(({ xid }) => xid === undefined)) {
      this.#batches = [];
      this.#count = 0;
      this.#start = position;
      return;
    }
    this.#batches.push({ changes, end: position });
    this.#count += weightOf(changes);
    // Readings without changes cost memory, too.
    while (this.#count > this.#size || this.#batches.length > this.#size) {
      const oldest = this.#batches.shift();
      if (!oldest) break;
      this.#count -= weightOf(oldest.changes);
      this.#start = oldest.end;
    }
  }

  /**
   * What committed after `since`, up to `now`, where that is known without a query: when nothing that `since` has not
   * seen was forgotten, and `since` is no position of the future.
   */
  since(since: Position, now: Position, resources?: readonly string[]): Reading | undefined {
    if (this.#size === 0 || !isAtLeast(since, this.#start) || !isAtLeast(now, since)) return undefined;
    return this.#answers.get(since, now, resources, () => ({
      position: now,
      changes: this.#batches.flatMap(({ changes }) => missedOf(changes, since, resources)),
      lost: false,
    }));
  }
}

/** A change whose event carries data, up to 64 kB of it, counts as many, and so does one with as much of scopes. */
function weightOf(changes: readonly LoggedChange[]): number {
  return changes.reduce((sum, { data, statements }) => {
    const scopes = statements?.reduce((size, statement) => size + statement.size, 0) ?? 0;
    return sum + (data === undefined ? 1 : WEIGHT_OF_DATA) + Math.floor(scopes / SCOPES_PER_CHANGE);
  }, 0);
}
