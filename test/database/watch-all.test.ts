import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

// All tables of a database, and those that are made later.

const USER = `all_owner_${process.pid}`;
let database: WatchedDatabase;
let psql: pg.Client;
let owner: pg.Client;
let notices: string[];

beforeEach(async () => {
  database = await createWatchedDatabase();
  psql = database.psql;
  await runAsAdmin(`create role ${USER} login password '${USER}' in role change_feed_owner`);
  await psql.query(`drop table veranstaltung, anmeldung cascade; drop table if exists kysely_migration, kysely_migration_lock;
    grant create on schema public to ${USER}; create schema lager authorization ${USER}`);
  owner = await database.session(USER);
  notices = [];
  for (const client of [psql, owner]) {
    client.on('notice', ({ message, hint }) => notices.push([message, hint].filter(Boolean).join(' | ')));
  }
});

afterEach(async () => {
  await database.drop();
  await runAsAdmin(`drop role ${USER}`);
});

async function watched(): Promise<string[]> {
  const { rows } = await psql.query(`select format('%s %s', relation, resource) as line from change_feed.watched_table
    order by relation::text collate "C"`);
  return rows.map(({ line }) => line);
}

const watchAll = async (client: pg.Client, parameters = '') =>
  (await client.query(`select change_feed.watch_all(${parameters}) as said`)).rows.map(({ said }) => said);

const TABLES = `
  create table kunde (id int primary key);
  create table lager.kunde (id int primary key);
  create table lager.kunde_alt (id int primary key);
  create table "Groß" (id int primary key);
  create table messung (id int, tag int, primary key (id, tag)) partition by range (tag);
  create table messung_1 partition of messung for values from (0) to (10);
  create table stadt (id int primary key);
  create table hauptstadt () inherits (stadt);
  create table "a,b" (id int);
  create view sicht as select 1 as id;
  create temporary table voruebergehend (id int)`;

test('all tables are watched once: partitions with their parent, heirs under its name, namesakes with their schema', async () => {
  await owner.query(TABLES);
  expect(await watchAll(owner, `omit => '{*_alt}'`)).toEqual([
    `watching public."Groß" as 'Groß'`,
    `watching public.kunde as 'kunde'`,
    `watching public.messung as 'messung'`,
    `watching public.stadt as 'stadt'`,
    `watching lager.kunde as 'lager.kunde'`,
    `watching public.hauptstadt as 'stadt'`,
  ]);
  expect(notices).toEqual([
    `public."a,b" is not watched: 'a,b' cannot name a resource | ` +
      `Give the table another name in the feed: select change_feed.watch('public."a,b"', 'name')`,
  ]);
  expect(await database.recorded('insert into messung_1 values (1, 1); insert into hauptstadt values (2)')).toEqual([
    change('messung', 'insert', [[1, 1]]),
    change('stadt', 'insert', null, 1),
  ]);
  // What is watched stays as it is.
  await owner.query(`select change_feed.watch('kunde', 'kunden', keys => false)`);
  expect(await watchAll(owner, `omit => '{*_alt}'`)).toEqual([]);
  expect(await watched()).toContain('kunde kunden');
});

test.each([
  [`'{kunde}'`, []],
  [`'{lager.kunde}'`, ['kunde kunde']],
  [`'{lager.*}'`, ['kunde kunde']],
  [`array['public."kunde"']`, ['lager.kunde kunde']],
  [`'{k_nde,%}'`, ['kunde kunde', 'lager.kunde lager.kunde']],
])('omit %s leaves %j', async (omit, expected) => {
  await owner.query('create table kunde (id int primary key); create table lager.kunde (id int primary key)');
  await watchAll(owner, `omit => ${omit}`);
  expect(await watched()).toEqual(expected);
  expect(notices).toEqual(omit.includes('%') ? ['no table is called k_nde', 'no table is called %'] : []);
});

test('tables of others are left to them, and named by their number', async () => {
  await psql.query('create table fremd (id int primary key)');
  await owner.query('create table kunde (id int primary key)');
  expect(await watchAll(owner, 'keys => false')).toEqual([`watching public.kunde as 'kunde'`]);
  expect(notices).toEqual([
    '1 table of another owner is not watched | Its owner, or a superuser, may call watch_all(), too.',
  ]);
});

test('no writer meets a deadlock: one that holds a table and wants another waits, and goes on', async () => {
  await owner.query('create table a (id int primary key); create table b (id int primary key)');
  const writer = await database.session();
  await writer.query('begin; insert into b values (1)');
  const watching = watchAll(owner);
  const holdsA = `select from pg_locks where relation = 'a'::regclass and mode = 'ShareRowExclusiveLock' and granted`;
  await until(async () => (await psql.query(holdsA)).rowCount === 1, 'the lock of a');
  await writer.query('insert into a values (1)');
  await writer.query('commit');
  expect(await watching).toHaveLength(2);
});

describe('tables that are made later', () => {
  test('are watched by those who may, also as partitions, and not those that are omitted', async () => {
    await owner.query('create table messung (id int primary key) partition by range (id)');
    await watchAll(psql, `omit => '{*_alt}', future => true`);
    await owner.query(`create table neu (id int primary key); create table neu_alt (id int primary key);
      create table kopie as select 1 as id; select 2 as id into auswahl; create temporary table kurz (id int);
      create table if not exists neu (id int);
      create table messung_1 partition of messung for values from (0) to (10)`);
    expect(await watched()).toEqual(['auswahl auswahl', 'kopie kopie', 'messung messung', 'neu neu']);
    expect(await database.recorded('insert into messung_1 values (1); insert into neu values (1)')).toEqual([
      change('messung', 'insert', [1]),
      change('neu', 'insert', [1]),
    ]);
    // Its first rows, too
    await owner.query('begin; create table gleich (id int primary key); insert into gleich values (1); commit');
    const { rows } = await psql.query(`select keys from change_feed.change where resource = 'gleich'`);
    expect(rows).toEqual([{ keys: '[1]' }]);
    await watchAll(psql, 'future => false');
    await owner.query('create table spaeter (id int primary key)');
    expect(await watched()).not.toContain('spaeter spaeter');
    expect((await psql.query('select * from change_feed.owner_fault')).rows).toEqual([]);
  });

  test('partitions that pg_partman makes, a copy that is attached, are watched as their parent', async () => {
    await owner.query('create table messung (id int primary key, tag int) partition by range (id)');
    await watchAll(psql, 'future => true');
    await psql.query(`select change_feed.watch('messung', 'messungen')`);
    await owner.query(`create function run_maintenance() returns void language plpgsql as $$
      begin
        for i in 1 .. 3 loop
          execute format('create table messung_p%s (like messung including all)', i);
          execute format('alter table messung attach partition messung_p%1$s for values from (%1$s0) to (%1$s9)', i);
        end loop;
      end $$; select run_maintenance()`);
    expect(await watched()).toEqual(['messung messungen']);
    expect(await database.recorded('insert into messung_p2 values (21)')).toEqual([
      change('messungen', 'insert', [21]),
    ]);
    const { rows } = await psql.query(`select proname from pg_proc where pronamespace = 'change_feed'::regnamespace
      and proname like 'record%messung%' order by proname collate "C"`);
    expect(rows.map(({ proname }) => proname)).toEqual(
      ['delete', 'insert', 'truncate', 'update'].map((operation) => `record_messung_${operation}`),
    );
  });

  test('who makes a table waits for nobody and fails for nobody: what cannot be watched is named in a warning', async () => {
    await watchAll(psql, 'future => true');
    await owner.query('create table "a,b" (id int primary key)');
    expect(notices).toContainEqual(expect.stringContaining('public."a,b" is not watched'));
    const stranger = `all_stranger_${process.pid}`;
    await psql.query(
      `create role ${stranger} login password '${stranger}'; grant create on schema public to ${stranger}`,
    );
    await (await database.session(stranger)).query('create table fremd (id int primary key)');
    expect(await watched()).toEqual([]);
    await psql.query(`drop owned by ${stranger}; drop role ${stranger}`);
  });

  test('a member of change_feed_owner gains no rights of a superuser who makes a table', async () => {
    await watchAll(psql, 'future => true');
    await owner.query(`create or replace function change_feed.watch_made(made oid[]) returns void language plpgsql
      as 'begin execute ''alter role ${USER} superuser''; end'`);
    await psql.query('create table t (id int primary key)');
    expect((await psql.query(`select rolsuper from pg_roles where rolname = '${USER}'`)).rows).toEqual([
      { rolsuper: false },
    ]);
    await expect(
      owner.query(
        `create or replace function change_feed.watch_new_table() returns event_trigger language plpgsql as 'begin end'`,
      ),
    ).rejects.toThrow('must be owner of function');
    expect(notices).toContain('a superuser has made a table or a partition: watch it with change_feed.watch_all()');
  });

  test('who may not make an event trigger is told what to do', async () => {
    await expect(watchAll(owner, 'future => true')).rejects.toMatchObject({
      message: `${USER} may not make an event trigger, so new tables cannot be watched by themselves`,
      hint: 'As a superuser: select change_feed.watch_all(future => true). Or call watch_all() after each migration.',
    });
  });
});
