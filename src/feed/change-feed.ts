import type { LoggedChange } from '../change.js';
import type { Logger } from '../logger.js';
import { OperatorError } from '../operator-error.js';
import { Bell, CHANNEL } from './bell.js';
import { ChangeLog, type Reading } from './change-log.js';
import { formatPosition, type Position } from './position.js';

/** What a change feed is made of. */
export interface ChangeFeedOptions {
  /** A direct connection to Postgres: for LISTEN, and for reading the log. */
  readonly listenDatabaseUrl: string;
  /** Rings over the connection that the application's writers use, to prove at start that a ring gets through. */
  readonly ring: (channel: string, payload: string) => Promise<unknown>;
  /**
   * The log is also read when nothing was heard for this long, in ms: the delay under any fault of the bell.
   * Default 1000; 0 switches it off.
   */
  readonly readIntervalMs?: number;
  /** How long changes stay in the log, in seconds. Default 24 hours. */
  readonly retentionS?: number;
  /** How many changes the log keeps at the most. Default 10 million. */
  readonly maxRows?: number;
  readonly logger: Logger;
}

/** Hears every change of the feed, in order. */
export interface FeedListener {
  /** What committed since the last call; `position` stands behind all of it. */
  onChanges(changes: readonly LoggedChange[], position: Position): void;
  /** What committed since the last call can't be told: everything may have changed. */
  onLost(position: Position): void;
}

/** Between two ticks of maintenance, in ms. */
const MAINTENANCE_MS = 60_000;

/** Where transactions can be prepared no writer rings (PREPARE TRANSACTION fails after NOTIFY), so we look, in ms. */
const SILENT_WRITERS_MS = 100;

/** After a failed read the next follows after this, doubled each time up to the longest, in ms. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;

/** How often a query of one client is tried while the feed itself can read. */
const MAX_ATTEMPTS = 3;

/**
 * The feed of one server: the bell wakes it, it reads from the log what is new, and tells its listeners.
 * The log is the truth; whatever happens to the bell only delays.
 */
export class ChangeFeed {
  readonly #log: ChangeLog;
  readonly #bell: Bell;
  readonly #options: ChangeFeedOptions;
  readonly #logger: Logger;
  readonly #listeners = new Set<FeedListener>();
  readonly #waitingForRead = new Set<() => void>();
  readonly #timers: NodeJS.Timeout[] = [];
  #retry: NodeJS.Timeout | undefined;
  #position: Position | undefined;
  #reading = false;
  #again = false;
  #failures = 0;
  #stopped = false;
  #watched: { readonly at: number; readonly names: Promise<Set<string>> } | undefined;

  constructor(options: ChangeFeedOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#log = new ChangeLog(options.listenDatabaseUrl, (error) => {
      this.#logger.warn({ err: error }, 'a connection to the log broke');
    });
    this.#bell = new Bell(options.listenDatabaseUrl, {
      onRing: () => this.#wake(),
      onBack: () => {
        this.#logger.info('listening again');
        this.#wake();
      },
      onLost: (attempt) => this.#logger.warn({ attempt }, 'the connection that listens is lost, connecting again'),
      onError: (error) => this.#logger.error({ err: error }, 'the connection that listens failed'),
    });
  }

  /**
   * Begins to listen and to read.
   * @throws {OperatorError} when the schema is missing, the server is a standby, or a NOTIFY doesn't get through.
   */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const silentWriters = await this.#checkServer();
    await this.#bell.start((payload) => this.#options.ring(CHANNEL, payload));
    this.#position = await this.#log.begin();

    const { readIntervalMs = 1000 } = this.#options;
    const interval = silentWriters ? SILENT_WRITERS_MS : readIntervalMs;
    if (interval > 0) this.#every(interval, () => this.#wake());
    this.#every(MAINTENANCE_MS, () => void this.#maintain());
    void this.#maintain();
  }

  /** Stops reading. Listeners hear nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retry);
    for (const timer of this.#timers) clearInterval(timer);
    this.#releaseWaiting();
    await Promise.all([this.#bell.stop(), this.#log.close()]);
  }

  /** How far this server has read. */
  get position(): Position {
    if (!this.#position) throw new Error('The feed has not been started');
    return this.#position;
  }

  /** Whether the log can be read, and whether the bell is heard. */
  get health(): { readonly database: boolean; readonly listener: boolean } {
    return { database: this.#position !== undefined && this.#failures === 0, listener: this.#bell.listening };
  }

  /** Tells `listener` everything that is read from now on. Returns how to end that. */
  listen(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * What committed after `since`, up to now. While the database can't be reached it waits for it.
   * @throws when the log can be read, and this stretch can't.
   * @param resources only these; all unless given.
   */
  async changesSince(since: Position, resources?: readonly string[]): Promise<Reading> {
    return this.#whenReadable(() => this.#log.read(since, resources));
  }

  /** The position of now: rows fetched after this call are followed by reading the feed from here, with no gap. */
  async currentPosition(): Promise<string> {
    return formatPosition(await this.#log.position());
  }

  /** All resources that are watched or stand in the log: what may have changed when nobody can tell. */
  async allResources(): Promise<readonly string[]> {
    return this.#whenReadable(() => this.#log.allResources());
  }

  /** Whether a table is watched as `resource`. Known for a second. */
  async isWatched(resource: string): Promise<boolean> {
    if (!this.#watched || Date.now() - this.#watched.at > 1000) {
      const names = this.#log.watchedResources().then((list) => new Set(list));
      this.#watched = { at: Date.now(), names };
      names.catch(() => {
        this.#watched = undefined;
      });
    }
    return (await this.#watched.names).has(resource);
  }

  async #checkServer(): Promise<boolean> {
    const [server] = await this.#log.query<{ standby: boolean; schema: boolean; prepared: boolean }>(
      `select pg_is_in_recovery() as standby, to_regclass('change_feed.epoch') is not null as schema,
        current_setting('max_prepared_transactions')::int > 0 as prepared`,
    );
    if (server?.standby) {
      throw new OperatorError('The database is a standby, where LISTEN does not work: connect to the primary.');
    }
    if (!server?.schema) {
      throw new OperatorError('The database has no schema change_feed: run `pg-change-feed migrate` first.');
    }
    return server.prepared;
  }

  #every(ms: number, task: () => void): void {
    this.#timers.push(setInterval(task, ms));
  }

  /** Looks now. Rings during a read lead to one more read, not to many. */
  #wake(): void {
    if (this.#stopped || !this.#position) return;
    if (this.#reading) this.#again = true;
    else void this.#read(this.#position);
  }

  async #read(since: Position): Promise<void> {
    this.#reading = true;
    clearTimeout(this.#retry);
    let position = since;
    do {
      this.#again = false;
      try {
        const reading = await this.#log.read(position);
        if (this.#stopped) return;
        position = reading.position;
        this.#position = position;
        this.#succeeded();
        this.#tell(reading);
      } catch (error) {
        if (this.#stopped) return;
        this.#failed(error);
      }
    } while (this.#again && this.#failures === 0);
    this.#reading = false;
  }

  #tell({ changes, position, lost }: Reading): void {
    if (lost) this.#logger.warn('changes were missed that cannot be told: every client is told to refetch');
    for (const listener of this.#listeners) {
      if (lost) listener.onLost(position);
      else if (changes.length > 0) listener.onChanges(changes, position);
    }
  }

  #succeeded(): void {
    if (this.#failures > 0) this.#logger.info({ failures: this.#failures }, 'the log can be read again');
    this.#failures = 0;
    this.#releaseWaiting();
  }

  #failed(error: unknown): void {
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS);
    this.#failures += 1;
    this.#logger.error({ err: error, failures: this.#failures }, 'the log could not be read');
    this.#retry = setTimeout(() => this.#wake(), wait);
  }

  async #maintain(): Promise<void> {
    const { retentionS = 24 * 60 * 60, maxRows = 10_000_000 } = this.#options;
    try {
      const pruned = await this.#log.prune(retentionS, maxRows);
      if (pruned > 0) this.#logger.info({ pruned }, 'old changes were pruned');
    } catch (error) {
      if (!this.#stopped) this.#logger.warn({ err: error }, 'the log could not be pruned');
    }
  }

  /** A failed query waits until the feed itself has read the log again, and is then tried anew. */
  async #whenReadable<Result>(query: () => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await query();
      } catch (error) {
        if (this.#stopped || attempt === MAX_ATTEMPTS) throw error;
        this.#logger.warn({ err: error }, 'a stretch of the log could not be read, trying again');
        await new Promise<void>((resolve) => {
          this.#waitingForRead.add(resolve);
          this.#wake();
        });
      }
    }
  }

  #releaseWaiting(): void {
    for (const resolve of this.#waitingForRead) resolve();
    this.#waitingForRead.clear();
  }
}
