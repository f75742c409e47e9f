import { setTimeout as delay } from 'node:timers/promises';

/** A server counts as running for this long after it was last listed, in ms: a crash of Postgres empties the list. */
const RUNNING_MS = 30_000;
/** The time between two looks at the list, in ms: any number of unknown ids costs the database at most ten queries a second. */
const LOOK_MS = 100;

/** Knows which servers run, by `change_feed.status`. A server reports there before it takes its first request. */
export class KnownServers {
  readonly #list: () => Promise<readonly string[]>;
  readonly #listedAt = new Map<string, number>();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #next: Promise<void> | undefined;

  /** @param list reads the ids of the servers that have reported within 30 s. */
  constructor(list: () => Promise<readonly string[]>) {
    this.#list = list;
  }

  /**
   * Returns whether a server runs: at once where it was listed of late, else by a look that begins after this call, so
   * that one which has just started is known. Rejects as the look does.
   */
  async has(server: string): Promise<boolean> {
    if (this.#isListed(server)) return true;
    this.#next ??= this.#look();
    await this.#next;
    return this.#isListed(server);
  }

  #isListed(server: string): boolean {
    return performance.now() - (this.#listedAt.get(server) ?? Number.NEGATIVE_INFINITY) < RUNNING_MS;
  }

  /** All who ask before it begins share it. */
  async #look(): Promise<void> {
    await delay(Math.max(this.#lookedAt + LOOK_MS - performance.now(), 0));
    this.#next = undefined;
    this.#lookedAt = performance.now();
    const servers = await this.#list();
    const now = performance.now();
    for (const server of servers) this.#listedAt.set(server, now);
    for (const [server, at] of this.#listedAt) if (now - at >= RUNNING_MS) this.#listedAt.delete(server);
  }
}
