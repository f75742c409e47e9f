import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;
let psql: pg.Client;
let recorded: WatchedDatabase['recorded'];
let watch: WatchedDatabase['watch'];

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql, recorded, watch } = database);
  await psql.query(`create domain nummer as int; create domain moment as timestamptz; create extension if not exists citext;
    create type stimmung as enum ('gut', 'it''s "so\\so"'); create type paar as (a int, b text); create type spanne as range (subtype = date)`);
});

afterAll(() => database.drop());

const uuid = '2b0b2d0c-5f0e-4c53-9c11-0a3b6c7d8e9f';
test.each<[string, string, unknown]>([
  ['int', '7', 7],
  ['smallint', '-7', -7],
  ['bigint', '9007199254740993', '9007199254740993'],
  ['numeric(30, 2)', '12345678901234567890.10', '12345678901234567890.10'],
  ['text', `'ü''"\\{}'`, `ü'"\\{}`],
  ['text', `''`, ''],
  ['varchar(5)', `'ab'`, 'ab'],
  ['uuid', `'${uuid}'`, uuid],
  ['boolean', 'true', true],
  ['date', `'2030-07-01'`, '2030-07-01'],
  ['timestamp', `'2030-07-01 10:00'`, '2030-07-01T10:00:00'],
  ['timestamptz', `'2030-07-01 10:00Z'`, '2030-07-01T10:00:00+00:00'],
  ['double precision', '0.1', 0.1],
  ['bytea', `'\\xdeadbeef'`, '\\xdeadbeef'],
  ['interval', `'1 day 2 hours'`, '1 day 02:00:00'],
  ['inet', `'10.0.0.1'`, '10.0.0.1'],
  ['regclass', `'public.veranstaltung'`, 'public.veranstaltung'],
  ['int[]', `'{1,2}'`, [1, 2]],
  ['bigint[]', `'{9007199254740993}'`, '{9007199254740993}'],
  ['jsonb', `'{"a": 1}'`, { a: 1 }],
  ['tstzrange', `'[2030-07-01 10:00Z,2030-07-02 10:00Z)'`, '["2030-07-01 10:00:00+00","2030-07-02 10:00:00+00")'],
  ['nummer', '7', '7'],
  ['moment', `'2030-07-01 10:00Z'`, '2030-07-01 10:00:00+00'],
  ['citext', `'Ab'`, 'Ab'],
  ['stimmung', `'it''s "so\\so"'`, 'it\'s "so\\so"'],
  ['paar', `row(1, 'x y')`, '(1,"x y")'],
  ['spanne', `'[2030-07-01,2030-07-02)'`, '[2030-07-01,2030-07-02)'],
  ['stimmung[]', `'{gut}'`, '{gut}'],
])('a key of type %s, %s, is %j for every writer, whatever their session has set', async (type, value, key) => {
  await psql.query(`drop table if exists t; create table t (id ${type} primary key, n int)`);
  await watch('t');
  expect(await recorded(`insert into t values (${value})`)).toEqual([change('t', 'insert', [key])]);
  const other = await database.session();
  await other.query(`set timezone = 'Pacific/Auckland'; set datestyle = 'SQL, DMY'; set intervalstyle = 'iso_8601';
    set bytea_output = 'escape'; set extra_float_digits = -10`);
  expect(await recorded('update t set n = 1', other)).toEqual([change('t', 'update', [key])]);
  expect(await recorded('delete from t', other)).toEqual([change('t', 'delete', [key])]);
  // The session keeps its own.
  expect((await other.query('show timezone')).rows).toEqual([{ TimeZone: 'Pacific/Auckland' }]);
});

describe('a key', () => {
  test('of several columns is an array, in the order of the key', async () => {
    await psql.query('create table zwei (wert int, b text, a bigint, primary key (a, b) include (wert))');
    await watch('zwei');
    expect(await recorded(`insert into zwei values (0, 'x', 1)`)).toEqual([change('zwei', 'insert', [['1', 'x']])]);
  });

  test('that is changed is named with its old value and its new', async () => {
    await psql.query('create table wechsel (id int primary key); insert into wechsel values (1), (2)');
    await watch('wechsel');
    expect(await recorded('update wechsel set id = id + 10')).toEqual([change('wechsel', 'update', [1, 2, 11, 12])]);
    expect(await recorded('update wechsel set id = id')).toEqual([change('wechsel', 'update', [11, 12])]);
  });

  test('none, or one that is unique only: no keys, but how many rows', async () => {
    await psql.query('create table ohne (a int); create table eindeutig (a int unique not null)');
    for (const table of ['ohne', 'eindeutig']) {
      await watch(table);
      expect(await recorded(`insert into ${table} values (1), (2)`)).toEqual([change(table, 'insert', null, 2)]);
    }
  });

  test('of another definition counts from the next watch() on', async () => {
    await psql.query('create table neu (id int primary key, code text not null default md5(random()::text))');
    await watch('neu');
    await psql.query('alter table neu drop constraint neu_pkey, add primary key (code)');
    expect(await recorded(`insert into neu values (1, 'a')`)).toEqual([change('neu', 'insert', [1])]);
    expect(await watch('neu')).toBe("watching public.neu as 'neu'");
    expect(await recorded(`insert into neu values (2, 'b')`)).toEqual([change('neu', 'insert', ['b'])]);
  });

  test('whose column was renamed is missed until the next watch()', async () => {
    await psql.query('create table umbenannt (id int primary key)');
    await watch('umbenannt');
    await psql.query('alter table umbenannt rename id to nummer');
    expect(await recorded('insert into umbenannt values (1)')).toEqual([change('umbenannt', 'insert', null, 1)]);
    expect(await watch('umbenannt')).toBe("watching public.umbenannt as 'umbenannt'");
    expect(await recorded('insert into umbenannt values (2)')).toEqual([change('umbenannt', 'insert', [2])]);
  });

  test('100 are named, 101 are not; old and new count apart', async () => {
    await psql.query('create table viele (id int primary key)');
    await watch('viele');
    const hundred = Array.from({ length: 100 }, (_, i) => i + 1);
    expect(await recorded('insert into viele select generate_series(1, 100)')).toEqual([
      change('viele', 'insert', hundred),
    ]);
    expect(await recorded('insert into viele select generate_series(101, 201)')).toEqual([
      change('viele', 'insert', null, 101),
    ]);
    expect(await recorded('update viele set id = id + 1000 where id <= 50')).toMatchObject([{ rows: 100 }]);
    // 51 rows, 102 keys
    const [moved] = await recorded('update viele set id = id + 5000 where id between 51 and 101');
    expect(moved).toMatchObject({ keys: null, rows: 51 });
  });

  test('deferrable: a statement that swaps two is one event', async () => {
    await psql.query(
      'create table tausch (id int primary key deferrable, n int); insert into tausch values (1, 1), (2, 2)',
    );
    await watch('tausch');
    expect(await recorded('update tausch set id = 3 - id')).toEqual([change('tausch', 'update', [1, 2])]);
  });

  test('WITHOUT OVERLAPS is named with its range (Postgres 18)', async () => {
    if (database.version < 18) return;
    await psql.query(`create extension if not exists btree_gist;
      create table belegung (raum int, zeit tstzrange, primary key (raum, zeit without overlaps))`);
    await watch('belegung');
    const key = [7, '["2030-07-01 10:00:00+00","2030-07-01 12:00:00+00")'];
    expect(
      await recorded(`set timezone = 'Asia/Tokyo';
      insert into belegung values (7, '[2030-07-01 10:00Z,2030-07-01 12:00Z)'); reset timezone`),
    ).toEqual([change('belegung', 'insert', [key])]);
  });
});
