import pg from 'pg';
import { atMost } from '../at-most.js';
import { sessionTo } from '../database/address.js';
import type { Addresses } from '../doctor/connection.js';
import { examine } from '../doctor/examine.js';
import { selectLogState } from '../feed/log/log-state.js';
import { WATCHED_TABLES } from '../feed/log/statements.js';
import type { ListedServer } from './peers.js';
import type { LogReport, TableRow, TablesReport } from './report.js';

/** The name of its sessions. */
const NAME = 'pg-change-feed monitor';
/** The time that a query may take, in ms. */
const QUERY_MS = 3000;
/** The time that the doctor may take, in ms. */
const EXAMINE_MS = 30_000;
/** The time for which the doctor's findings count as new, in ms. */
const FINDINGS_MS = 10_000;

/** Settings against what the role or the database says, as in the sessions that read the log. */
const SESSION = '-c search_path=pg_catalog,pg_temp -c statement_timeout=3s -c lock_timeout=1s -c jit=off';

const SERVERS = 'select id, place from change_feed.running_server order by id';

/** Tables that are listed. */
const MAX_TABLES = 500;

const TABLES = `
  select w.relation, w.resource, w.keys,
    array(select (select string_agg(change_feed.readable_name(c.name), '&') from jsonb_array_elements_text(s.scope -> 'columns') c (name))
      from jsonb_array_elements(w.scopes) s (scope)) as scopes,
    (select 1000 * extract(epoch from clock_timestamp() - s.at)::float8 from change_feed.status s
      where s.what = 'resource' and s.name = w.resource limit 1) as "changedAgoMs"
  from (${WATCHED_TABLES}) w order by 1 limit ${MAX_TABLES}`;

const LOG = selectLogState(`
    pg_total_relation_size('change_feed.change')::float8 as bytes,
    (select extract(epoch from clock_timestamp() - t.at)::float8 from change_feed.horizon h
      join change_feed.tick t on t.id = h.tick) as "horizonAgeS"`);

/** A row of {@link LOG}. */
type LogRow = Omit<LogReport, 'retentionS' | 'maxRows'>;

/** An event that has been committed. */
export interface CommittedEvent {
  readonly xid: string;
  readonly writtenMs: number;
  readonly committedMs: number;
}

/** The monitor's own sessions with the database: it never waits for those of the feed, nor they for it. */
export class MonitorDatabase {
  readonly #addresses: Addresses;
  readonly #pool: pg.Pool;
  #closing: Promise<void> | undefined;
  #examining: Promise<TablesReport> | undefined;
  #examined: { readonly report: TablesReport; readonly at: number } | undefined;

  constructor(addresses: Addresses) {
    const { listenUrl, password } = addresses;
    this.#addresses = addresses;
    this.#pool = new pg.Pool({
      ...sessionTo(listenUrl, { name: NAME, options: SESSION, password }),
      max: 2,
      idleTimeoutMillis: 10_000,
      connectionTimeoutMillis: QUERY_MS,
      query_timeout: QUERY_MS,
    });
    this.#pool.on('error', () => {}); // the next query opens another
  }

  /** Lists the servers that report. */
  async servers(): Promise<readonly ListedServer[]> {
    return (await this.#pool.query<{ id: string; place: string }>(SERVERS)).rows;
  }

  /** Reads the state of the log. */
  async log(): Promise<LogRow> {
    const [row] = (await this.#pool.query<LogRow>(LOG)).rows;
    if (!row) throw new Error('Expected a row');
    return row;
  }

  /**
   * Lists the watched tables, with what the doctor finds: once for all who ask at once, and again after ten seconds.
   * @param anew again now.
   */
  async tables(anew: boolean): Promise<TablesReport> {
    const { report, at = 0 } = this.#examined ?? {};
    if (report && !anew && performance.now() - at < FINDINGS_MS) return report;
    this.#examining ??= this.#examine().finally(() => {
      this.#examining = undefined;
    });
    return this.#examining;
  }

  /**
   * Commits an event the way that a writer would: over a connection like theirs.
   * @param actor who is named as its writer.
   */
  async emit(resource: string, actor: string): Promise<CommittedEvent> {
    return this.#session(this.#addresses.url, QUERY_MS, async (client) => {
      const begun = performance.now();
      await client.query('begin');
      await client.query("select pg_catalog.set_config('change_feed.actor', $1, true)", [actor]);
      const { rows } = await client.query(
        'select change_feed.emit($1, \'{"test": true}\'::jsonb), pg_catalog.pg_current_xact_id()::text as xid',
        [resource],
      );
      const written = performance.now();
      await client.query('commit');
      return { xid: rows[0].xid, writtenMs: written - begun, committedMs: performance.now() - written };
    });
  }

  /** Closes its sessions. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#pool.end();
    return this.#closing;
  }

  async #examine(): Promise<TablesReport> {
    const tables = (await this.#pool.query<TableRow>(TABLES)).rows;
    const findings = await atMost(
      EXAMINE_MS,
      this.#session(this.#addresses.listenUrl, EXAMINE_MS, (client) => examine(client, this.#addresses, [])),
    );
    const report = { tables, findings: findings ?? [LATE] };
    this.#examined = { report, at: performance.now() };
    return report;
  }

  async #session<Result>(url: string, ms: number, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({
      ...sessionTo(url, { name: NAME, password: this.#addresses.password }),
      connectionTimeoutMillis: QUERY_MS,
      query_timeout: ms,
    });
    client.on('error', () => {}); // the query that it fails reports it
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end();
    }
  }
}

const LATE = { level: 'fail', about: 'doctor', says: 'it had no answer within 30 s' } as const;
