import pg from 'pg';
import { type WatchAllOptions, watchAll } from '../database/watch.js';
import { OperatorError } from '../operator-error.js';
import { connectToDatabase } from './database.js';

/** Options of the tables of one call. */
export interface WatchCommandOptions {
  /** The name in the feed, of all of them. Default: each table's own. */
  readonly resource?: string;
  /** Tells whether events name the primary keys of the changed rows. */
  readonly keys: boolean;
  /** The scopes: a column, or several joined with `&`. */
  readonly scope: readonly string[];
}

/**
 * Puts tables into the feed, all of them or none, and prints for each what was done.
 * @param tables names as in SQL: `anmeldung`, `verein.mitglied`, `"Groß"`.
 * @throws {OperatorError} one sentence with what is wrong with which table.
 */
export function watchTables(tables: readonly string[], { resource, keys, scope }: WatchCommandOptions): Promise<void> {
  return eachTable('watch', tables, async (client, table) => {
    const call = 'select change_feed.watch($1::text::regclass, $2, $3, $4) as said';
    return (await client.query(call, [table, resource ?? null, keys, scope])).rows[0].said;
  });
}

/**
 * Takes tables out of the feed, all of them or none, and prints for each what was done.
 * @throws {OperatorError} as {@link watchTables} does.
 */
export function unwatchTables(tables: readonly string[]): Promise<void> {
  return eachTable('unwatch', tables, async (client, table) => {
    return (await client.query('select change_feed.unwatch($1::text::regclass) as said', [table])).rows[0].said;
  });
}

/**
 * Puts all tables of the user into the feed that are not in it yet, and prints for each what was done. What cannot be watched
 * is named on stderr.
 * @throws {OperatorError} one sentence that says why it did nothing.
 */
export function watchAllTables(options: WatchAllOptions): Promise<void> {
  return inTransaction('watch', async (client) => {
    try {
      const said = await watchAll(client, options);
      return said.length > 0 ? said : ['nothing new to watch'];
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error;
      throw new OperatorError(sentencesOf(error));
    }
  });
}

function eachTable(
  command: string,
  tables: readonly string[],
  work: (client: pg.Client, table: string) => Promise<string>,
): Promise<void> {
  return inTransaction(command, async (client) => {
    const said: string[] = [];
    for (const table of tables) {
      try {
        said.push(await work(client, table));
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error;
        await client.query('rollback');
        throw new OperatorError(await explain(client, table, error));
      }
    }
    return said;
  });
}

/** Works in one transaction, and prints what was done when it has committed, and then what Postgres has advised. */
async function inTransaction(command: string, work: (client: pg.Client) => Promise<string[]>): Promise<void> {
  const client = await connectToDatabase(command);
  const advice: string[] = [];
  client.on('notice', ({ message, hint }) => advice.push([message, hint].filter(Boolean).join('. ')));
  try {
    await checkFeed(client);
    await client.query('begin');
    const said = await work(client);
    await client.query('commit');
    console.log(said.join('\n'));
    if (advice.length > 0) console.error(advice.join('\n'));
  } finally {
    await client.end();
  }
}

/** @throws {OperatorError} unless the database has the feed, and its user the role that may change what is watched. */
async function checkFeed(client: pg.Client): Promise<void> {
  const { rows } = await client.query(`select format('%I', current_user) as user,
    to_regnamespace('change_feed') is not null as migrated, format('%I', o.name) as owner, (
      select pg_has_role(oid, 'USAGE') from pg_roles where rolname = o.name) as member
    from coalesce((select substring(prosrc from '''(.*)''') from pg_proc
      where pronamespace = to_regnamespace('change_feed') and proname = 'feed_owner'), 'change_feed_owner') as o (name)`);
  const { user, migrated, member, owner } = rows[0];
  if (!migrated) throw new OperatorError('The database has no schema change_feed: run `pg-change-feed migrate` first.');
  if (!member) {
    throw new OperatorError(`${user} may not change what is watched. As a superuser: grant ${owner} to ${user}.`);
  }
}

const UNDEFINED_TABLE = '42P01';
const UNDEFINED_SCHEMA = '3F000';
const INVALID_NAME = '42602';

/** Makes a sentence about the table that failed, and one about what to do where that is known. */
async function explain(client: pg.Client, table: string, { code, message, hint }: pg.DatabaseError): Promise<string> {
  if (code === UNDEFINED_TABLE || code === UNDEFINED_SCHEMA) {
    // Postgres folds names without quotes to small letters, and a shell removes the quotes.
    const { rows } = await client.query(
      `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'p') and lower(c.relname collate "C") = lower(replace(regexp_replace($1, '^.*\\.', ''), '"', '') collate "C")
        order by pg_table_is_visible(c.oid) desc, 1 limit 1`,
      [table],
    );
    const other = rows[0] ? ` There is ${rows[0].name}: in a shell, write '${rows[0].name}'.` : '';
    return `There is no table ${table}.${other}`;
  }
  if (code === INVALID_NAME) return `${JSON.stringify(table)} is not a table's name: ${message}.`;
  return sentencesOf({ message, hint });
}

function sentencesOf({ message, hint }: Pick<pg.DatabaseError, 'message' | 'hint'>): string {
  return [message, hint]
    .filter(Boolean)
    .map((sentence) => `${sentence?.replace(/\.$/, '')}.`)
    .join(' ');
}
