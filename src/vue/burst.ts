import type { Change } from '../change.js';

/** Calls once at a burst's beginning and once at its end, however many changes it has. */
export class Burst {
  readonly #call: (change: Change) => void;
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting: Change | undefined;

  /** @param ms how long a burst is at the most: one that goes on longer is told again each time; 0: no bursts. */
  constructor(call: (change: Change) => void, ms: number) {
    this.#call = call;
    this.#ms = ms;
  }

  add(change: Change): void {
    if (this.#timer) {
      // Two are no more than "something changed".
      this.#waiting = this.#waiting ? { resource: change.resource } : change;
      return;
    }
    if (this.#ms > 0) this.#timer = setTimeout(() => this.#end(), this.#ms);
    this.#call(change);
  }

  /** Nothing more is told. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#waiting = undefined;
  }

  #end(): void {
    const waiting = this.#waiting;
    this.#timer = undefined;
    this.#waiting = undefined;
    if (waiting) this.add(waiting);
  }
}
