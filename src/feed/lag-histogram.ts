/** Upper bounds of the buckets, in seconds. */
const BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;

/** A histogram in Prometheus' sense, of plain numbers, so that a change costs a few comparisons. */
export class LagHistogram {
  /** The numbers of observations up to each bound, and not up to the one before; the last of them beyond all bounds. */
  readonly #counts: number[] = [...BOUNDS_S, Number.POSITIVE_INFINITY].map(() => 0);
  /** All of them added up, in seconds. */
  sum = 0;

  /** @param seconds negative, when a clock was set back: counts as 0. */
  observe(seconds: number): void {
    const value = Math.max(seconds, 0);
    let bucket = 0;
    while (bucket < BOUNDS_S.length && value > (BOUNDS_S[bucket] ?? 0)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.sum += value;
  }

  /** The numbers of observations up to each bound in seconds, ascending; the last bound is infinity, and counts all. */
  cumulative(): readonly (readonly [bound: number, count: number])[] {
    let count = 0;
    return this.#counts.map((own, bucket) => {
      count += own;
      return [BOUNDS_S[bucket] ?? Number.POSITIVE_INFINITY, count] as const;
    });
  }
}
