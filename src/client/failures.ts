import { now } from './timing.js';

/** Counts the attempts that failed in a row, and for how long. */
export class Failures {
  #count = 0;
  /** The time of the first, by `now()`. */
  #since: number | undefined;
  #sinceBefore: number | undefined;

  /** The number of failures in a row. */
  get count(): number {
    return this.#count;
  }

  /** Counts one more. @returns for how long attempts have failed, in ms. */
  add(): number {
    this.#count += 1;
    this.#since ??= now();
    return now() - this.#since;
  }

  /** Forgets the failures: the server is reached. */
  forget(): void {
    this.#count = 0;
    this.#sinceBefore = this.#since;
    this.#since = undefined;
  }

  /** Restores the failures: the answer of the server was of no use. */
  recall(): void {
    this.#since = this.#sinceBefore;
  }
}
