import { setTimeout as delay } from 'node:timers/promises';
import type { LoggedChange } from '../change.js';
import type { Scope } from '../scope.js';
import { columnsText, isDeclared, scopeFault, type WatchedTable } from './declared-scopes.js';
import type { ChangeLog } from './log/change-log.js';

/** The time for which the list of watched tables counts as new, in ms, and the shortest between two reads of it. */
const WATCHED_MS = 1000;

/** The time for which the list says what a table's scopes are, in ms: ten thousand clients that come back read it once. */
const SCOPES_MS = 10_000;

/** Names that are remembered at the most: emit() takes any. */
const MAX_READ = 10_000;

/** The watched tables, as far as they are known. */
interface Watched {
  /** The time at which the read began, by performance.now(). */
  readonly at: number;
  /** The tables by their resource. */
  readonly tables: Promise<ReadonlyMap<string, WatchedTable>>;
}

/** Names of resources: those that tables are watched as, with their scopes, and those in the log. */
export class Resources {
  readonly #log: ChangeLog;
  /** The names of all changes that were read. */
  readonly #read = new Set<string>();
  #logged: Promise<readonly string[]> | undefined;
  #watched: Watched | undefined;
  #next: Promise<ReadonlyMap<string, WatchedTable>> | undefined;
  /** The list that was read last, and when, by performance.now(). */
  #tables: ReadonlyMap<string, WatchedTable> = new Map();
  #tablesAt = Number.NEGATIVE_INFINITY;

  constructor(log: ChangeLog) {
    this.#log = log;
  }

  /** Takes what the feed has read. */
  add(changes: readonly LoggedChange[]): void {
    for (const { resource } of changes) this.#read.add(resource);
    if (this.#read.size <= MAX_READ) return;
    // The log has them, and is scanned again when somebody asks.
    this.#read.clear();
    this.#logged = undefined;
  }

  /** Forgets what the log holds: the feed has missed changes, and perhaps a name. */
  forget(): void {
    this.#logged = undefined;
    this.#watched = undefined;
  }

  /** Lists all resources that are watched or in the log: those that may have changed where it is not known. */
  async all(): Promise<readonly string[]> {
    // One scan of the log serves all: later names come from readings.
    if (!this.#logged) {
      const logged = this.#log.loggedResources();
      this.#logged = logged;
      logged.catch(() => {
        if (this.#logged === logged) this.#logged = undefined;
      });
    }
    const [watched, logged] = await Promise.all([this.#watchedTables(), this.#logged]);
    return [...new Set([...watched.keys(), ...logged, ...this.#read])];
  }

  /** Tells whether a table is watched as `resource`. It remembers the answer for a second. */
  async isWatched(resource: string): Promise<boolean> {
    return (await this.#watchedTables()).has(resource);
  }

  /**
   * Checks a scope: the columns that its table declares, and the texts of its values. A scope that the list knows is checked at
   * once, where the list is at most ten seconds old; for others it is read again, at most once a second. A resource that no
   * table is watched as may have any scope: the application emits it.
   * @returns the sentence that tells what is wrong; undefined where nothing is. A promise of it where the list has to be read.
   */
  scopeFault(resource: string, scope: Scope): string | undefined | Promise<string | undefined> {
    const known = this.#tables.get(resource);
    if (known && isDeclared(known, scope) && performance.now() - this.#tablesAt <= SCOPES_MS) {
      return scopeFault(known, scope);
    }
    return this.#scopeFaultNow(resource, scope);
  }

  /**
   * Reads which scopes a resource has now.
   * @returns the columns of each as the log names them; undefined where no table is watched as `resource`.
   */
  async scopesNow(resource: string): Promise<readonly string[] | undefined> {
    const table = (await this.#tablesNow()).get(resource);
    return table?.scopes.map(({ columns }) => columnsText(columns));
  }

  async #scopeFaultNow(resource: string, scope: Scope): Promise<string | undefined> {
    try {
      const table = (await this.#watchedTables()).get(resource);
      if (!table || isDeclared(table, scope)) return table && scopeFault(table, scope);
      // It may have been declared since.
      const now = (await this.#tablesNow()).get(resource);
      return now && scopeFault(now, scope);
    } catch (error) {
      // While the database does not answer, the list from before counts.
      if (this.#tablesAt === Number.NEGATIVE_INFINITY) throw error;
      const before = this.#tables.get(resource);
      return before && scopeFault(before, scope);
    }
  }

  /** The list, by a read that begins after this call, and not within a second of the one before. */
  #tablesNow(): Promise<ReadonlyMap<string, WatchedTable>> {
    this.#next ??= delay(this.#watched ? WATCHED_MS - (performance.now() - this.#watched.at) : 0).then(() => {
      this.#next = undefined;
      return this.#readWatched();
    });
    return this.#next;
  }

  #watchedTables(): Promise<ReadonlyMap<string, WatchedTable>> {
    const isNew = this.#watched && performance.now() - this.#watched.at <= WATCHED_MS;
    return isNew && this.#watched ? this.#watched.tables : this.#readWatched();
  }

  #readWatched(): Promise<ReadonlyMap<string, WatchedTable>> {
    const tables = this.#log.watchedTables().then((list) => new Map(list.map((table) => [table.resource, table])));
    const watched: Watched = { at: performance.now(), tables };
    this.#watched = watched;
    tables.then(
      (read) => {
        this.#tables = read;
        this.#tablesAt = watched.at;
      },
      () => {
        if (this.#watched === watched) this.#watched = undefined;
      },
    );
    return tables;
  }
}
