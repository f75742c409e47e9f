import { now } from './timing.js';

/** Counts the attempts that failed in a row, and for how long. */
export class Failures {
  #count = 0;
  /** By `now()`. */
  #since: number | undefined;
  #sinceBefore: number | undefined;

  /** How many there were. */
  get count(): number {
    return this.#count;
  }

  /** One more. @returns for how long attempts have failed, in ms. */
  add(): number {
    this.#count += 1;
    this.#since ??= now();
    return now() - this.#since;
  }

  /** The server is reached. */
  forget(): void {
    this.#count = 0;
    this.#sinceBefore = this.#since;
    this.#since = undefined;
  }

  /** What was reached was of no use: they began when they had begun. */
  recall(): void {
    this.#since = this.#sinceBefore;
  }
}
