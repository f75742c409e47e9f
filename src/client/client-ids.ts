/** The number of earlier streams whose changes still count as the page's own. */
const KNOWN = 100;

/** The names under which a page writes: one of its own before it has a stream, then that of each stream. */
export class ClientIds {
  readonly #known = [crypto.getRandomValues(new Uint32Array(4)).join('-')];

  /** The newest name. */
  get current(): string {
    return this.#known[0] as string;
  }

  add(id: string): void {
    this.#known.unshift(id);
    this.#known.length = Math.min(this.#known.length, KNOWN);
  }

  has(id: string): boolean {
    return this.#known.includes(id);
  }
}
