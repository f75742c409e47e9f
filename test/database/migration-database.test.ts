import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { installChangeFeed, removeChangeFeed } from '../../src/database/install.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import type { MigrationDatabase } from '../../src/database/migration-database.js';
import { setOrigin } from '../../src/database/origin.js';
import { changeFeedSql, removeChangeFeedSql, unwatchSql, watchAllSql, watchSql } from '../../src/database/sql-text.js';
import { unwatch, watch, watchAll } from '../../src/database/watch.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { sqlFiles } from './sql-statements.js';

// The functions of migrations over what any tool has: a client, a pool, a function.

const name = `migration_${process.pid}`;
let psql: pg.Client;
let pool: pg.Pool;

beforeAll(async () => {
  await createRawDatabase(name);
  psql = new pg.Client({ connectionString: databaseUrl(name), application_name: 'psql' });
  await psql.connect();
  pool = new pg.Pool({ connectionString: databaseUrl(name) });
});

beforeEach(async () => {
  await psql.query('drop schema if exists change_feed cascade; drop table if exists kunde');
  await psql.query('create table kunde (id int primary key, name text)');
});

afterAll(async () => {
  await pool.end();
  await psql.end();
  await runAsAdmin(`drop database ${name} with (force)`);
});

const isInstalled = async () =>
  (await psql.query(`select from pg_namespace where nspname = 'change_feed'`)).rowCount === 1;
const changes = async () =>
  (await psql.query('select resource, details[1] as operation, keys, details[2:4] as origin from change_feed.change'))
    .rows;

/** Wraps an error of pg, as tools do. */
class ToolError extends Error {}

const databases: [string, () => MigrationDatabase][] = [
  ['a client of pg', () => psql],
  ['a pool of pg', () => pool],
  ['a function that returns rows', () => async (text, values) => (await psql.query(text, values)).rows],
  [
    'a function that wraps errors',
    () => (text, values) =>
      psql.query(text, values).catch((cause: unknown) => {
        throw new ToolError('Failed query', { cause });
      }),
  ],
];

describe.each(databases)('%s', (_what, database) => {
  test('installs, watches, and removes', async () => {
    const db = database();
    expect(await installChangeFeed(db)).toEqual(sqlFiles);
    expect(await installChangeFeed(db)).toEqual([]);
    await watch(db, 'kunde', { resource: `Kunde 'ä'\\`, keys: true });
    await psql.query('insert into kunde values (7)');
    expect(await changes()).toMatchObject([{ resource: `Kunde 'ä'\\`, operation: 'insert', keys: '[7]' }]);
    await unwatch(db, 'kunde');
    await psql.query('insert into kunde values (8)');
    expect(await changes()).toHaveLength(1);
    expect(await watchAll(db, { except: ['nie'] })).toEqual([`watching public.kunde as 'kunde'`]);
    await removeChangeFeed(db);
    expect(await isInstalled()).toBe(false);
  });

  test('migrates, as pg-change-feed migrate does', async () => {
    expect(await migrateChangeFeed(database())).toEqual(sqlFiles);
    expect(await migrateChangeFeed(database())).toEqual([]);
  });

  test('leaves nothing of an installation that fails', async () => {
    await psql.query('create schema change_feed; create table change_feed.fremd (id int)');
    await expect(installChangeFeed(database())).rejects.toThrow('was not made by pg-change-feed');
    expect((await psql.query(`select from pg_class where relnamespace = 'change_feed'::regnamespace`)).rowCount).toBe(
      1,
    );
    expect((await psql.query('select pg_current_xact_id_if_assigned() as open')).rows).toEqual([{ open: null }]);
  });
});

describe('in a transaction of the tool', () => {
  test('everything rolls back with it', async () => {
    await psql.query('begin');
    await installChangeFeed(psql);
    await watch(psql, 'kunde');
    await psql.query('rollback');
    expect(await isInstalled()).toBe(false);
  });

  test('a failure leaves the transaction as it was before the call', async () => {
    await psql.query(
      'begin; create table davor (id int); create schema change_feed; create table change_feed.fremd (id int)',
    );
    await expect(installChangeFeed(psql)).rejects.toThrow('was not made by pg-change-feed');
    expect((await psql.query('select count(*)::int as n from davor')).rows).toEqual([{ n: 0 }]);
    await psql.query('rollback');
  });

  test('an upgrade watches the same tables again', async () => {
    await installChangeFeed(psql);
    await watch(psql, 'kunde', { resource: 'kunden', keys: false, scopes: ['name'] });
    await watchAll(psql, { except: ['kunde', `d'Este`], keys: false, future: true });
    await psql.query(
      'create or replace function change_feed.check_resource(resource text) returns void language sql as $$ $$',
    );
    await psql.query('begin');
    expect(await installChangeFeed(psql)).toEqual(sqlFiles);
    await psql.query('commit');
    const { rows } = await psql.query(
      'select resource, keys, change_feed.scope_names(scopes) as scopes from change_feed.watched_table',
    );
    expect(rows).toEqual([{ resource: 'kunden', keys: false, scopes: ['name'] }]);
    const { rows: rules } = await psql.query('select omit, keys from change_feed.future_rule, pg_event_trigger');
    expect(rules).toEqual([{ omit: ['kunde', `d'Este`], keys: false }]);
  });

  test('setOrigin() names who writes, until the transaction ends', async () => {
    await installChangeFeed(psql);
    await watch(psql, 'kunde');
    await psql.query('begin');
    await setOrigin(psql, { actor: `ada's`, client: 'a-page' });
    await psql.query('insert into kunde values (1)');
    await psql.query('commit');
    await psql.query('insert into kunde values (2)');
    expect((await changes()).map(({ origin }) => origin.map((name: string | null) => name ?? ''))).toEqual([
      ['psql', `ada's`, 'a-page'],
      ['psql', '', ''],
    ]);
  });
});

describe('the SQL as text', () => {
  test('makes, watches, unwatches and removes', async () => {
    await psql.query(changeFeedSql());
    await psql.query(watchSql('kunde', { keys: false, scopes: ['name', 'id&name'] }));
    await psql.query(`insert into kunde values (1, 'Ada')`);
    expect(await changes()).toMatchObject([{ resource: 'kunde', operation: 'insert' }]);
    await psql.query(unwatchSql('kunde'));
    await psql.query(watchSql('kunde'));
    await psql.query(`begin; insert into kunde values (2, 'Eve'); ${removeChangeFeedSql()} commit`);
    expect(await isInstalled()).toBe(false);
    expect((await psql.query(`select from pg_trigger where tgrelid = 'kunde'::regclass`)).rowCount).toBe(0);
  });

  test.each([
    ['kunde', {}, `select change_feed.watch('kunde');\n`],
    ['verein."Groß"', { resource: `d'Este` }, `select change_feed.watch('verein."Groß"', resource => 'd''Este');\n`],
    ['kunde', { keys: false }, `select change_feed.watch('kunde', keys => false);\n`],
    ['kunde', { scopes: ['a', 'a&b'] }, `select change_feed.watch('kunde', scopes => array['a', 'a&b']);\n`],
  ])('of %s with %j is one statement', (table, options, text) => {
    expect(watchSql(table, options)).toBe(text);
  });

  test('of all tables is one statement, too', () => {
    expect(watchAllSql()).toBe('select change_feed.watch_all();\n');
    expect(watchAllSql({ except: [`d'Este`, 'b'], keys: false, future: true })).toBe(
      `select change_feed.watch_all(omit => array['d''Este', 'b'], keys => false, future => true);\n`,
    );
  });

  test('lets no name break out of it', async () => {
    await psql.query(changeFeedSql());
    const hostile = [`kunde'); drop table kunde; --`, `kunde\\'); drop table kunde; --`];
    for (const text of hostile) {
      await expect(psql.query(watchSql(text))).rejects.toThrow(/invalid name syntax|does not exist/);
      await psql.query(watchSql('kunde', { resource: text }));
      await psql.query(unwatchSql('kunde'));
    }
    expect((await psql.query('select count(*)::int as n from kunde')).rows).toEqual([{ n: 0 }]);
  });
});
