import type { LoggedChange } from '../change.js';
import type { ChangeLog } from './log/change-log.js';

/** How long it is known which tables are watched, in ms. */
const WATCHED_MS = 1000;

/** Names that are remembered at the most: emit() takes any. */
const MAX_READ = 10_000;

/** Names of resources: those that tables are watched as, and those in the log. */
export class Resources {
  readonly #log: ChangeLog;
  /** Of all that was read. */
  readonly #read = new Set<string>();
  #logged: Promise<readonly string[]> | undefined;
  #watched: { readonly at: number; readonly names: Promise<ReadonlySet<string>> } | undefined;

  constructor(log: ChangeLog) {
    this.#log = log;
  }

  /** Takes what the feed has read. */
  add(changes: readonly LoggedChange[]): void {
    for (const { resource } of changes) this.#read.add(resource);
    if (this.#read.size <= MAX_READ) return;
    // They stand in the log, which is scanned again when somebody asks.
    this.#read.clear();
    this.#logged = undefined;
  }

  /** The feed has missed changes, and so perhaps a name. */
  forget(): void {
    this.#logged = undefined;
    this.#watched = undefined;
  }

  /** All resources that are watched or stand in the log: what may have changed when nobody can tell. */
  async all(): Promise<readonly string[]> {
    // The log is scanned once, for all who ask: what comes later is known from the reading.
    if (!this.#logged) {
      const logged = this.#log.loggedResources();
      this.#logged = logged;
      logged.catch(() => {
        if (this.#logged === logged) this.#logged = undefined;
      });
    }
    const [watched, logged] = await Promise.all([this.#watchedNames(), this.#logged]);
    return [...new Set([...watched, ...logged, ...this.#read])];
  }

  /** Whether a table is watched as `resource`. Known for a second. */
  async isWatched(resource: string): Promise<boolean> {
    return (await this.#watchedNames()).has(resource);
  }

  #watchedNames(): Promise<ReadonlySet<string>> {
    if (!this.#watched || performance.now() - this.#watched.at > WATCHED_MS) {
      const names = this.#log.watchedResources().then((list) => new Set(list));
      this.#watched = { at: performance.now(), names };
      names.catch(() => {
        this.#watched = undefined;
      });
    }
    return this.#watched.names;
  }
}
