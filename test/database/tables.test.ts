import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type pg from 'pg';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;
let psql: pg.Client;
let recorded: WatchedDatabase['recorded'];
let watch: WatchedDatabase['watch'];

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql, recorded, watch } = database);
});

afterAll(() => database.drop());

const ascii63 = 'x'.repeat(63);
const umlauts = 'ü'.repeat(31); // 62 bytes
const kanji = '表'.repeat(21); // 63 bytes
test.each([
  ['klein', 'klein'],
  ['"Groß"', 'Groß'],
  ['"mit Leerzeichen"', 'mit Leerzeichen'],
  [`"it's ""so"" \\ $sql$ %s %I"`, `it's "so" \\ $sql$ %s %I`],
  ['"select"', 'select'],
  [ascii63, ascii63],
  [`"${umlauts}"`, umlauts],
  [`"${kanji}"`, kanji],
  ['"1.2"', '1.2'],
])('a table and a column called %s', async (name, resource) => {
  await psql.query(`create table ${name} (${name} int primary key)`);
  expect(await watch(name)).toMatch(/^watching public\./);
  expect(await recorded(`insert into ${name} values (1)`)).toEqual([change(resource, 'insert', [1])]);
  expect(await recorded(`update ${name} set ${name} = 2`)).toEqual([change(resource, 'update', [1, 2])]);
  expect(await watch(name)).toMatch(/^already watching public\./);
  await psql.query(`select change_feed.unwatch($1::text::regclass)`, [name]);
  expect(await recorded(`delete from ${name}`)).toEqual([]);
});

test('a name that no resource can have is refused with what to do, and watched under another', async () => {
  await psql.query('create table "a,b?*" (id int primary key)');
  await expect(watch('"a,b?*"')).rejects.toMatchObject({
    message: "'a,b?*' cannot name a resource",
    hint: `Give the table another name in the feed: select change_feed.watch('public."a,b?*"', 'name')`,
  });
  await watch('"a,b?*"', 'ab');
  expect(await recorded('insert into "a,b?*" values (1)')).toEqual([change('ab', 'insert', [1])]);
});

test('a table of another schema, whose name is not on the search_path', async () => {
  await psql.query('create schema "Verein"; create table "Verein".mitglied (id int primary key)');
  expect(await watch('"Verein".mitglied')).toBe(`watching "Verein".mitglied as 'mitglied'`);
  expect(await recorded('insert into "Verein".mitglied values (1)')).toEqual([change('mitglied', 'insert', [1])]);
});

test('an unlogged table, also when it becomes a logged one', async () => {
  await psql.query('create unlogged table fluechtig (id int primary key)');
  await watch('fluechtig');
  expect(await recorded('insert into fluechtig values (1)')).toEqual([change('fluechtig', 'insert', [1])]);
  expect(await recorded('alter table fluechtig set logged')).toEqual([]);
  expect(await recorded('insert into fluechtig values (2)')).toEqual([change('fluechtig', 'insert', [2])]);
});

test('a table without columns', async () => {
  await psql.query('create table leer ()');
  await watch('leer');
  expect(await recorded('insert into leer default values')).toEqual([change('leer', 'insert', null, 1)]);
});

test('identity, generated and dropped columns', async () => {
  const virtual = database.version >= 18 ? ', v int generated always as (n * 3) virtual' : '';
  await psql.query(`create table berechnet (weg int, id int generated always as identity primary key, n int,
    doppelt int generated always as (n * 2) stored${virtual}); alter table berechnet drop weg`);
  await watch('berechnet');
  expect(await recorded('insert into berechnet (n) values (1), (2)')).toEqual([change('berechnet', 'insert', [1, 2])]);
  await psql.query('alter table berechnet add spaeter text default now()::text, drop doppelt');
  expect(await recorded('update berechnet set n = 5 where id = 2')).toEqual([change('berechnet', 'update', [2])]);
});

test('a generated column as the key', async () => {
  await psql.query('create table abgeleitet (n int, id int generated always as (n * 2) stored primary key)');
  await watch('abgeleitet');
  expect(await recorded('insert into abgeleitet values (1)')).toEqual([change('abgeleitet', 'insert', [2])]);
  expect(await recorded('update abgeleitet set n = 5')).toEqual([change('abgeleitet', 'update', [2, 10])]);
});

test('a renamed table keeps its name in the feed until watch() gives it the new one', async () => {
  await psql.query('create table alt (id int primary key)');
  await watch('alt');
  await psql.query('alter table alt rename to neu');
  expect(await recorded('insert into neu values (1)')).toEqual([change('alt', 'insert', [1])]);
  expect(await watch('neu')).toBe("watching public.neu as 'neu'");
  expect(await recorded('insert into neu values (2)')).toEqual([change('neu', 'insert', [2])]);
});

test('a dropped table leaves nothing in the way of one of the same name', async () => {
  for (const type of ['int', 'text']) {
    await psql.query(`drop table if exists weg; create table weg (id ${type} primary key)`);
    expect(await watch('weg')).toBe("watching public.weg as 'weg'");
    expect(await recorded(`insert into weg values ('1')`)).toEqual([
      change('weg', 'insert', [type === 'int' ? 1 : '1']),
    ]);
  }
});

test('two that watch tables of one name at once: the second is told, and takes no function from the first', async () => {
  await psql.query(
    'create schema p1; create schema p2; create table p1.p (a int primary key); create table p2.p (b text primary key)',
  );
  const [one, two] = [await database.session(), await database.session()];
  await one.query(`begin; select change_feed.watch('p1.p')`);
  const second = two.query(`select change_feed.watch('p2.p', 'p2')`);
  await one.query('commit');
  await second;
  expect(await recorded(`insert into p1.p values (1); insert into p2.p values ('x')`)).toEqual([
    change('p', 'insert', [1]),
    change('p2', 'insert', ['x']),
  ]);
});

test('the functions of all watched tables are renewed by one statement, that changes nothing else', async () => {
  await psql.query('create table frisch (id int primary key); create table privat (email text primary key)');
  await watch('frisch', 'umgetauft');
  await watch('privat', undefined, false);
  // As after an upgrade: the function was made by an older version.
  await psql.query(`create or replace function change_feed.record_frisch_insert() returns trigger language plpgsql security definer
    as $$ begin return null; end $$`);
  expect(await recorded('insert into frisch values (1)')).toEqual([]);
  const { rows } = await psql.query(
    `select change_feed.watch(relation, resource, keys) as said from change_feed.watched_table where resource in ('umgetauft', 'privat') order by 1`,
  );
  expect(rows.map(({ said }) => said)).toEqual([
    "already watching public.privat as 'privat'",
    "watching public.frisch as 'umgetauft'",
  ]);
  expect(await recorded(`insert into frisch values (2); insert into privat values ('a@b')`)).toEqual([
    change('umgetauft', 'insert', [2]),
    change('privat', 'insert', null),
  ]);
});

test.each([
  ['a view', 'create view ding as select 1 as id'],
  ['an index', 'create table o (id int); create index ding on o (id)'],
  ['a composite type', 'create type ding as (a int)'],
  ['a TOAST table', 'create table o (t text)'],
  ['a materialized view', 'create materialized view ding as select 1 as id'],
])('refuses what is no table: %s', async (what, setUp) => {
  await psql.query(`begin; ${setUp}`);
  const { rows } = await psql.query(
    `select coalesce(min(nullif(reltoastrelid, 0)::regclass::text), 'ding') as name from pg_class where oid = to_regclass('o')`,
  );
  await expect(watch(rows[0].name)).rejects.toThrow(`is ${what}, and only tables can be watched`);
  await psql.query('rollback');
});

test('refuses null, with a sentence', async () => {
  await expect(psql.query('select change_feed.watch(null)')).rejects.toThrow('the name of the table is null');
  await expect(psql.query('select change_feed.unwatch(null)')).rejects.toThrow('the name of the table is null');
  await expect(psql.query(`select change_feed.watch('veranstaltung', keys => null)`)).rejects.toThrow(
    'keys is true or false, not null',
  );
  await expect(psql.query('select change_feed.watch(1)')).rejects.toThrow('there is no table with oid 1');
});
