import { pause } from './timing.js';

/** The shortest time for any three requests, in ms: a little over a second, because they may travel at different speeds. */
const SPAN_MS = 1050;

/** Lets at most two requests a second through, in the order in which they come. */
export class Gate {
  #queue: Promise<unknown> = Promise.resolve();
  /** The times of the last two requests, oldest first, by `performance.now()`. */
  #passed: readonly number[] = [];

  /** Waits for its turn. @returns false where `signal` was aborted first; that takes no turn. */
  pass(signal: AbortSignal): Promise<boolean> {
    const turn = this.#queue.then(() => this.#wait(signal));
    this.#queue = turn;
    return turn;
  }

  async #wait(signal: AbortSignal): Promise<boolean> {
    const [first, second] = this.#passed;
    if (first !== undefined && second !== undefined && !signal.aborted) {
      const ms = first + SPAN_MS - performance.now();
      if (ms > 0) await pause(ms, signal);
    }
    if (signal.aborted) return false;
    this.#passed = [...this.#passed.slice(-1), performance.now()];
    return true;
  }
}
