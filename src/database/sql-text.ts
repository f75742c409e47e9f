import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { packageRoot } from '../package-root.js';
import type { InstallOptions } from './install.js';
import type { WatchAllOptions, WatchOptions } from './watch.js';

/**
 * Returns the SQL that makes the schema `change_feed`: all files of sql/, in their order. It can be run as one query, in a
 * transaction or without, or one statement after the other. It fails where there is such a schema already; for upgrades see
 * {@link installChangeFeed}.
 * @example export const up = (knex) => knex.raw(changeFeedSql())
 */
export function changeFeedSql({ withoutRole = false }: InstallOptions = {}): string {
  const folder = join(packageRoot, 'sql');
  const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  const texts = files.sort().map((name) => readFileSync(join(folder, name), 'utf8'));
  return [...(withoutRole ? [`select set_config('change_feed.without_role', 'on', false);`] : []), ...texts].join('\n');
}

/**
 * Returns the SQL that removes the feed: the triggers of all watched tables, and the schema `change_feed` with the log. Run
 * it in a transaction.
 */
export function removeChangeFeedSql(): string {
  return `select change_feed.unwatch(relation) from change_feed.watched_table;
set constraints change_feed.notify_at_commit immediate;
drop schema change_feed cascade;
`;
}

/**
 * Returns the SQL that puts a table into the feed: one statement. It may be run again.
 * @param table as in SQL: `anmeldung`, `verein.mitglied`, `"Groß"`.
 * @example pgm.sql(watchSql('verein.mitglied', { keys: false }))
 */
export function watchSql(table: string, { resource, keys, scopes }: WatchOptions = {}): string {
  const options = [
    resource === undefined ? '' : `, resource => ${pg.escapeLiteral(resource)}`,
    keys === undefined ? '' : `, keys => ${keys}`,
    scopes?.length ? `, scopes => array[${scopes.map(pg.escapeLiteral).join(', ')}]` : '',
  ];
  return `select change_feed.watch(${pg.escapeLiteral(table)}${options.join('')});\n`;
}

/**
 * Returns the SQL that puts all tables into the feed: one statement. It may be run again.
 * @example pgm.sql(watchAllSql({ except: ['pgmigrations'] }))
 */
export function watchAllSql({ except, keys, future }: WatchAllOptions = {}): string {
  const options = [
    except?.length ? `omit => array[${except.map(pg.escapeLiteral).join(', ')}]` : '',
    keys === undefined ? '' : `keys => ${keys}`,
    future === undefined ? '' : `future => ${future}`,
  ];
  return `select change_feed.watch_all(${options.filter(Boolean).join(', ')});\n`;
}

/** Returns the SQL that takes a table out of the feed, before the table is dropped: one statement. */
export function unwatchSql(table: string): string {
  return `select change_feed.unwatch(${pg.escapeLiteral(table)});\n`;
}
