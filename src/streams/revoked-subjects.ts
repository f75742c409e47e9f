/** The time for which a revoked subject is remembered, in ms: no request looks for its caller longer than that. */
const REMEMBERED_MS = 60_000;

/** Knows which subjects have lost their rights of late, and tells requests that wait in their name. */
export class RevokedSubjects {
  /** The moment of each, by performance.now(); the earliest first. */
  readonly #at = new Map<string, number>();
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Notes that a subject has lost its rights, and calls what waits for that. */
  add(subject: string): void {
    const now = performance.now();
    this.#at.delete(subject);
    this.#at.set(subject, now);
    for (const [other, at] of this.#at) {
      if (now - at < REMEMBERED_MS) break;
      this.#at.delete(other);
    }
    for (const listener of this.#waiting.get(subject) ?? []) listener();
  }

  /** Returns whether a subject has lost its rights after a moment of the last minute, by performance.now(). */
  since(subject: string, moment: number): boolean {
    return (this.#at.get(subject) ?? Number.NEGATIVE_INFINITY) >= moment;
  }

  /** Calls `listener` when a subject loses its rights. @returns a function that ends it. */
  watch(subject: string, listener: () => void): () => void {
    const waiting = this.#waiting.get(subject) ?? new Set();
    this.#waiting.set(subject, waiting.add(listener));
    return () => {
      waiting.delete(listener);
      if (waiting.size === 0) this.#waiting.delete(subject);
    };
  }
}
