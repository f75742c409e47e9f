import pg from 'pg';
import { type FindPassword, sessionTo } from '../../database/address.js';
import type { WatchedTable } from '../declared-scopes.js';
import { AdaptiveTimeout, LONGEST_PATIENCE_MS } from './adaptive-timeout.js';
import { changesIn, positionOf, type ReadingRow, type SnapshotRow } from './change-rows.js';
import { epochId } from './epochs.js';
import { isAtLeast, type Position } from './position.js';
import { lostReading, type Reading, readingIn, readParameters } from './reading.js';
import { type Reads, readsOver } from './reads.js';
import { READER_SETTINGS } from './session-settings.js';
import {
  LOGGED_RESOURCES,
  MAX_CHANGES,
  MAX_CHANGES_AGAIN,
  NOW,
  POSITION_BEFORE,
  WATCHED_TABLES,
} from './statements.js';

/**
 * Of more changes than this, of whatever resources, a client that comes back is told to refetch all. Were only those of
 * its own resources counted, a replay of a resource that never changes would scan the whole log, and delay those of others.
 */
const MAX_REPLAYED = 100_000;

/**
 * Of more changes than this between two reads all is told to be refetched, so that a transaction of millions does not keep the
 * changes of others waiting: to count 2,000,000 takes 0.9 s, and 10,000,000 took 4.2.
 */
const MAX_COUNTED = 2_000_000;

/** Of more changes than this no scopes are told apart: for 100,000 that takes as long as to count 2,000,000. */
const MAX_BY_SCOPE = 100_000;

/** Rows that one transaction of pruning deletes: well under a second, so that it never holds VACUUM back. */
const PRUNE_BATCH = 10_000;

/** After this time without a query a session ends, in ms: to open one takes Postgres as much CPU as a hundred reads. */
const IDLE_MS = 60_000;

/** The time that a statement that is none of a client's may take, in ms: it holds one of two connections, maybe a dead one. */
const QUICK_MS = 3000;

/** The time that the scan of the last minute's changes may take, in ms, on a connection that was made for it: 10,000,000 took 4 s. */
const SCAN_MS = 10_000;

const SETTINGS = `${READER_SETTINGS} -c statement_timeout=30s -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s`;

/** The log `change_feed.change`: reads what is new for a position, and prunes. */
export class ChangeLog {
  /** The feed's own reads; those of clients that come back, thousands at once, never stand before them. */
  readonly #tail: pg.Pool;
  readonly #replays: pg.Pool;
  readonly #names: pg.Pool;
  readonly #rest: pg.Pool;
  readonly #news: Reads;
  readonly #sharedReplay: Reads;
  readonly #now: AdaptiveTimeout<SnapshotRow>;
  readonly #watchedTables: AdaptiveTimeout<WatchedTable>;
  readonly #loggedResources: AdaptiveTimeout<{ resource: string }>;
  #flooded = false;
  /** True once the feed has read: from then on a connection may be dead. */
  #hasRead = false;
  /** The number of those who need to know what batches that are summed up did to scopes. */
  #scopeReaders = 0;

  /**
   * @param databaseUrl goes straight to Postgres, not through a pooler in transaction mode.
   * @param password finds that of each new connection. Default: that of the address.
   * @param onError hears of idle connections that break; the next read opens a new one.
   */
  constructor(databaseUrl: string, onError: (error: Error) => void, password?: FindPassword) {
    const connect = (max: number, idleTimeoutMillis: number) => {
      const pool = new pg.Pool({
        ...sessionTo(databaseUrl, { name: 'pg-change-feed log', options: SETTINGS, password }),
        max,
        idleTimeoutMillis,
        connectionTimeoutMillis: 5000,
        query_timeout: LONGEST_PATIENCE_MS,
        keepAlive: true,
      });
      pool.on('error', (error) => {
        // pg hangs the whole client on it, and a log would write that out.
        delete (error as { client?: unknown }).client;
        onError(error);
      });
      return pool;
    };
    this.#tail = connect(1, IDLE_MS);
    this.#replays = connect(2, IDLE_MS);
    // Asked for when changes were missed, and then an older connection may well be dead: each time a new one.
    this.#names = connect(2, 1);
    this.#rest = connect(2, IDLE_MS);
    // At the start nobody is stale yet: the first read may take as long as it needs.
    this.#news = readsOver(this.#tail, LONGEST_PATIENCE_MS);
    this.#sharedReplay = readsOver(this.#replays);
    this.#now = new AdaptiveTimeout(this.#rest, { name: 'now', text: NOW });
    this.#watchedTables = new AdaptiveTimeout(this.#names, { text: WATCHED_TABLES });
    this.#loggedResources = new AdaptiveTimeout(this.#names, { text: LOGGED_RESOURCES }, SCAN_MS, SCAN_MS);
  }

  /**
   * The position of now. Begins an epoch where none is in force: at the first start, after each start of Postgres, and after
   * a crash.
   */
  async begin(): Promise<Position> {
    await this.#tail.query('select change_feed.ensure_epoch()');
    const { rows } = await this.#tail.query<SnapshotRow>(NOW);
    const position = positionOf(rows[0]);
    if (!position) throw new Error('The epoch has ended again');
    return position;
  }

  /**
   * Reads what committed since a position, for the feed itself.
   * @throws what pg throws when the database can't be reached.
   */
  async read(since: Position): Promise<Reading> {
    const reading = await this.#read(this.#news, since, null, MAX_COUNTED, this.#flooded);
    if (reading.position.epoch === since.epoch && !isAtLeast(reading.position, since)) {
      // This database has said so itself, in this epoch: its data was put back by something that it cannot see.
      await this.#tail.query('select change_feed.new_epoch($1)', [epochId(since)]);
      return lostReading(await this.begin());
    }
    this.#flooded = (reading.measured?.changes ?? 0) > MAX_CHANGES_AGAIN;
    if (!this.#hasRead) for (const statement of Object.values(this.#news)) statement.settle();
    this.#hasRead = true;
    return reading;
  }

  /**
   * Reads what committed since a position, for a client that comes back. A stretch of 100,000 changes is lost.
   * @param resources only these; all unless given.
   */
  async replay(since: Position, resources?: readonly string[]): Promise<Reading> {
    const readOf = async (names: readonly string[] | null, many: boolean): Promise<Reading> => {
      const { rows: _, ...reading } = await this.#read(this.#sharedReplay, since, names, MAX_REPLAYED, many);
      return reading;
    };
    if (!resources) return readOf(null, false);
    // How many there are of each resource, first: that ends after 100,000 of whatever resources.
    const all = await readOf(null, true);
    const wanted = all.changes.filter(({ resource }) => resources.includes(resource));
    const summedUp = wanted.filter(({ xid }) => xid === undefined).map(({ resource }) => resource);
    if (summedUp.length === 0) return { ...all, changes: wanted };
    // Only names that are in the log: a database in another encoding than UTF-8 could not read others.
    return readOf(summedUp, false);
  }

  /**
   * @param limit a stretch of so many changes is lost.
   * @param many whether there are likely so many that they are summed up.
   */
  async #read(
    reads: Reads,
    since: Position,
    resources: readonly string[] | null,
    limit: number,
    many = false,
  ): Promise<Reading> {
    const parameters = readParameters(since, resources);
    const begunAt = performance.now();
    const sumUp = async () => {
      const byScope =
        this.#scopeReaders > 0 ? await reads.summedUpByScope.ask([...parameters, MAX_BY_SCOPE]) : undefined;
      if (byScope && changesIn(byScope) < MAX_BY_SCOPE) return byScope;
      return reads.summedUp.ask([...parameters, limit]);
    };
    let rows: ReadingRow[] = many ? await sumUp() : [];
    if (changesIn(rows) <= MAX_CHANGES_AGAIN) {
      rows = await reads.each.ask(parameters);
      if (rows.length > MAX_CHANGES) rows = await sumUp();
    }

    const reading = readingIn(rows, since, begunAt);
    if (!reading) {
      // Postgres was started anew, maybe after a crash.
      await this.begin();
      return this.#read(reads, since, resources, limit, many);
    }
    return changesIn(rows) >= limit ? lostReading(reading.position) : reading;
  }

  /**
   * Tells apart from now on what batches that are summed up did to scopes. Until then, everyone subscribed to a scope is told
   * of them that something changed. Returns how to end that.
   */
  tellScopes(): () => void {
    this.#scopeReaders += 1;
    let ended = false;
    return () => {
      if (!ended) this.#scopeReaders -= 1;
      ended = true;
    };
  }

  /** Tells whether it does so: then it has to read such batches itself, for another server tells it their names alone. */
  get tellsScopes(): boolean {
    return this.#scopeReaders > 0;
  }

  /** The position of now, of one statement. See {@link ChangeLog.begin} for when no epoch is in force. */
  async position(): Promise<Position> {
    const [row] = await this.#now.ask();
    return positionOf(row) ?? this.begin();
  }

  /** The first position that was noted in the last `seconds`; undefined when there is none. */
  async earlierPosition(seconds: number): Promise<Position | undefined> {
    const { rows } = await this.#rest.query<SnapshotRow>(
      `select e.id as epoch, e.earlier, t.snapshot::text as snapshot from change_feed.tick t, change_feed.epoch_in_force e
        where t.at > clock_timestamp() - $1 * interval '1 s' order by t.id limit 1`,
      [seconds],
    );
    return positionOf(rows[0]);
  }

  /**
   * A position of `seconds` ago or before. Servers note one each minute; where none was noted so early, that of the first
   * change in the log since then, with its time. Undefined where there is neither.
   */
  async positionBefore(seconds: number): Promise<{ position: Position; firstAt?: Date } | undefined> {
    const [row] = await this.query<SnapshotRow & { firstAt: Date | null }>(POSITION_BEFORE, [seconds]);
    const position = positionOf(row);
    return position && { position, ...(row?.firstAt && { firstAt: row.firstAt }) };
  }

  /** The tables that are watched, with the scopes whose columns they have. */
  watchedTables(): Promise<WatchedTable[]> {
    return this.#watchedTables.ask();
  }

  /** Names of all resources in the log. Scans what was recorded since the last tick. */
  async loggedResources(): Promise<string[]> {
    return (await this.#loggedResources.ask()).map((row) => row.resource);
  }

  /** Records a change for each resource whose tables were exchanged, rewritten, attached or detached: sql/009-ddl.sql. */
  async recordDdl(): Promise<void> {
    await this.#rest.query('select change_feed.note_ddl()');
  }

  /**
   * Notes which transactions have ended by now, and deletes changes older than `retentionS` seconds, or beyond
   * `maxRows`. Any number of servers may call it; one at a time does it.
   * @returns how many changes were deleted.
   */
  async prune(retentionS: number, maxRows: number): Promise<number> {
    await this.#rest.query('select change_feed.note_tick()');
    let total = 0;
    for (let deleted = PRUNE_BATCH; deleted === PRUNE_BATCH; total += deleted) {
      const { rows } = await this.#rest.query<{ deleted: number }>(
        "select change_feed.prune($1 * interval '1 s', $2, $3) as deleted",
        [retentionS, maxRows, PRUNE_BATCH],
      );
      deleted = rows[0]?.deleted ?? 0;
    }
    return total;
  }

  /** Runs a statement that is none of a client's. */
  async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    // pg takes the limit of a single query, and its types don't know.
    return (await this.#rest.query<Row>({ text, values, query_timeout: QUICK_MS } as pg.QueryConfig)).rows;
  }

  async close(): Promise<void> {
    await Promise.all([this.#tail.end(), this.#replays.end(), this.#names.end(), this.#rest.end()]);
  }
}
