import type { Change } from '../change.js';
import { formatTopic } from '../scope.js';
import { refetchOf } from './resource.js';

/** The largest number of keys of a summed-up change: nobody refetches more row by row. */
const MAX_KEYS = 100;

/**
 * Calls for the first change at once, and then at most once in `ms` for each resource or scope, with what arrived
 * meanwhile: its keys, up to 100 of them.
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
    const topic = formatTopic(change);
    const waiting = this.#waiting.get(topic);
    this.#waiting.set(topic, waiting ? summedUp(waiting, change) : change);
  }

  /** Ends it: no change is passed on any more. */
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

/** Joins two changes: with all their keys where both name them, else "something changed". */
function summedUp(one: Change, other: Change): Change {
  const refetch = refetchOf(one);
  if (one.reason ?? other.reason) return { ...refetch, reason: 'resync' };
  if (!one.keys || !other.keys) return refetch;
  const keys = new Map([...one.keys, ...other.keys].map((key) => [JSON.stringify(key), key]));
  if (keys.size > MAX_KEYS) return refetch;
  const operation = one.operation === other.operation ? one.operation : undefined;
  return { ...refetch, ...(operation && { operation }), keys: [...keys.values()] };
}
