import type { Change } from '../change.js';

/** Keys that a summed-up change names; more would be a list that nobody refetches row by row. */
const MAX_KEYS = 100;

/**
 * Calls for the first change at once, and then at most once in `ms` for each resource, with what has come meanwhile: its
 * keys, up to 100 of them.
 */
export class Throttle {
  readonly #call: (change: Change) => void;
  readonly #ms: number;
  readonly #waiting = new Map<string, Change>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param ms 0 calls for each change. */
  constructor(call: (change: Change) => void, ms: number) {
    this.#call = call;
    this.#ms = ms;
  }

  add(change: Change): void {
    if (this.#timer === undefined) {
      this.#start();
      this.#call(change);
      return;
    }
    const waiting = this.#waiting.get(change.resource);
    this.#waiting.set(change.resource, waiting ? summedUp(waiting, change) : change);
  }

  /** Nothing more is told. */
  cancel(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  #start(): void {
    if (this.#ms > 0) this.#timer = setTimeout(() => this.#end(), this.#ms);
  }

  #end(): void {
    this.#timer = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    if (waiting.length === 0) return;
    this.#start();
    for (const change of waiting) this.#call(change);
  }
}

/** Both changes as one: with all their keys where both name them, else "something changed". */
function summedUp(one: Change, other: Change): Change {
  const { resource } = one;
  if (one.reason ?? other.reason) return { resource, reason: 'resync' };
  if (!one.keys || !other.keys) return { resource };
  const keys = new Map([...one.keys, ...other.keys].map((key) => [JSON.stringify(key), key]));
  if (keys.size > MAX_KEYS) return { resource };
  const operation = one.operation === other.operation ? one.operation : undefined;
  return { resource, ...(operation && { operation }), keys: [...keys.values()] };
}
