/** The longest wait of setTimeout, in ms (24.8 days); a longer one would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** A stream that ends with a token. */
interface Expiring {
  /** Ends it, and says that its token ended. */
  expire(): void;
}

/** Ends streams with their tokens. Those that end at the same moment share a timer: tokens end at whole seconds. */
export class Expiry {
  readonly #ending = new Map<number, { readonly streams: Set<Expiring>; timer: NodeJS.Timeout }>();

  /** Ends a stream at a time. @param expiresAt in ms since 1970. */
  add(stream: Expiring, expiresAt: number): void {
    const known = this.#ending.get(expiresAt);
    if (known) known.streams.add(stream);
    else this.#ending.set(expiresAt, { streams: new Set([stream]), timer: this.#wait(expiresAt) });
  }

  /** Forgets a stream that has ended. */
  delete(stream: Expiring, expiresAt: number): void {
    const entry = this.#ending.get(expiresAt);
    entry?.streams.delete(stream);
    if (entry?.streams.size !== 0) return;
    clearTimeout(entry.timer);
    this.#ending.delete(expiresAt);
  }

  #wait(expiresAt: number): NodeJS.Timeout {
    const ms = Math.min(Math.max(expiresAt - Date.now(), 0), MAX_TIMEOUT_MS);
    return setTimeout(() => this.#end(expiresAt), ms);
  }

  #end(expiresAt: number): void {
    const entry = this.#ending.get(expiresAt);
    if (!entry) return;
    if (Date.now() < expiresAt) {
      entry.timer = this.#wait(expiresAt);
      return;
    }
    this.#ending.delete(expiresAt);
    for (const stream of entry.streams) stream.expire();
  }
}
