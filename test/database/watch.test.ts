import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;
let psql: pg.Client;
let recorded: WatchedDatabase['recorded'];
let watch: WatchedDatabase['watch'];

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql, recorded, watch } = database);
});

afterAll(() => database.drop());

describe('watch', () => {
  test('says what it did, and may be called again', async () => {
    await psql.query('create table a (id int primary key)');
    expect(await watch('a')).toBe("watching public.a as 'a'");
    expect(await watch('a')).toBe("already watching public.a as 'a'");
    expect(await watch('a', 'anders')).toBe("watching public.a as 'anders'");
    expect(await recorded('insert into a values (1)')).toEqual([
      { resource: 'anders', operation: 'insert', keys: [1], rows: 1 },
    ]);
    const { rows } = await psql.query(`select * from change_feed.watched_table where resource = 'anders'`);
    expect(rows).toEqual([{ relation: 'a', resource: 'anders', keys: true, scopes: [] }]);
  });

  test.each(["O'Neill", 'back\\slash', '100 %s %1$L %', 'a $sql$ b $source$ $$', "'); drop table benannt --", '"x"'])(
    'records the resource %j as it is written',
    async (resource) => {
      await psql.query('create table if not exists benannt (id int primary key); truncate benannt');
      await watch('benannt', resource);
      expect(
        await recorded(
          `insert into benannt values (1); update benannt set id = 2; insert into benannt values (3), (4); delete from benannt; truncate benannt`,
        ),
      ).toEqual([
        { resource, operation: 'insert', keys: [1], rows: 1 },
        { resource, operation: 'update', keys: [1, 2], rows: 2 },
        { resource, operation: 'insert', keys: [3, 4], rows: 2 },
        { resource, operation: 'delete', keys: [2, 3, 4], rows: 3 },
        { resource, operation: 'truncate', keys: null, rows: null },
      ]);
    },
  );

  test('of a watched table takes no lock: a writer in the middle of its transaction is not in the way', async () => {
    await psql.query('create table b (id int primary key); select change_feed.watch($$b$$)');
    const writer = await database.session();
    await writer.query('begin; insert into b values (1)');
    expect(await watch('b')).toBe("already watching public.b as 'b'");
    await writer.query('rollback');
  });

  test('rolls back with its transaction', async () => {
    await psql.query('create table c (id int primary key)');
    await psql.query('begin; select change_feed.watch($$c$$); rollback');
    expect(await recorded('insert into c values (1)')).toEqual([]);
    const { rows } = await psql.query(`select from pg_proc where proname ~ '^record_c_[a-z]+$'`);
    expect(rows).toHaveLength(0);
  });

  test('names the functions of tables that are named alike by their schema, and where that is not enough by their number', async () => {
    const long = 'l'.repeat(45);
    await psql.query(`
      create schema n1; create table n1.f (id int primary key);
      create schema n2; create table n2.f (id int primary key);
      create schema "n2!"; create table "n2!".f (id int primary key);
      create table ${long}a (id int primary key);
      create table ${long}b (id int primary key);
      select change_feed.watch('n1.f', 'n1.f'), change_feed.watch('n2.f', 'n2.f'), change_feed.watch('"n2!".f', 'f3'), change_feed.watch('${long}a'), change_feed.watch('${long}b')`);
    const { rows } = await psql.query(`
      select t.tgrelid::regclass::text as relation, replace(p.proname, t.tgrelid::text, 'oid') as name
      from pg_trigger t join pg_proc p on p.oid = t.tgfoid
      where p.proname ~ '^record_.*(f|l{10,}).*insert$' order by t.tgrelid`);
    expect(rows.map(({ name }) => name)).toEqual([
      'record_f_insert',
      'record_n2_f_insert',
      'record_f_oid_insert',
      `record_${'l'.repeat(40)}_insert`,
      `record_${`public_${long}`.slice(0, 40)}_insert`,
    ]);
    for (const [table, resource] of [
      ['n1.f', 'n1.f'],
      ['n2.f', 'n2.f'],
      ['"n2!".f', 'f3'],
      [`${long}b`, `${long}b`],
    ])
      expect(await recorded(`insert into ${table} values (1)`)).toEqual([
        { resource, operation: 'insert', keys: [1], rows: 1 },
      ]);
  });

  test('unwatch takes all of it away, and may be called again', async () => {
    await psql.query('create table d (id int primary key); select change_feed.watch($$d$$)');
    const { rows } = await psql.query(`select change_feed.unwatch('d') as first, change_feed.unwatch('d') as second`);
    expect(rows[0]).toEqual({ first: 'no longer watching public.d', second: 'public.d was not watched' });
    expect(await recorded('insert into d values (1)')).toEqual([]);
    expect((await psql.query(`select from pg_proc where proname ~ '^record_d_[a-z]+$'`)).rows).toHaveLength(0);
  });

  test.each([
    ['a view', 'create view x1 as select 1 as id', 'x1', 'public.x1 is a view, and only tables can be watched'],
    ['a sequence', 'create sequence x2', 'x2', 'public.x2 is a sequence'],
    ['a temporary table', 'create temp table x3 (id int)', 'x3', 'is a temporary table'],
    ['a system table', 'select 1', 'pg_class', 'pg_class is a system table'],
    ['a table of the feed itself', 'select 1', 'change_feed.change', 'change_feed.change is a system table'],
    [
      'a foreign table',
      'create foreign data wrapper w; create server s foreign data wrapper w; create foreign table x4 (id int) server s',
      'x4',
      'public.x4 is a foreign table',
    ],
    [
      'a table with a foreign partition',
      'create table x5 (id int) partition by list (id); create foreign table x5f partition of x5 for values in (1) server s',
      'x5',
      'public.x5 has the foreign table public.x5f as a partition',
    ],
    ['a table that is not there', 'select 1', 'gibtesnicht', 'relation "gibtesnicht" does not exist'],
  ])('refuses %s', async (_name, setUp, table, message) => {
    await psql.query(setUp);
    await expect(watch(table)).rejects.toThrow(message);
  });

  test.each(['*', 'a,b', 'a?b', '', 'a\nb', 'ü'.repeat(101)])('refuses the resource %j', async (resource) => {
    await psql.query('create table if not exists e (id int primary key)');
    await expect(watch('e', resource)).rejects.toThrow('cannot name a resource');
  });

  test('refuses two tables under one name, unless it is given', async () => {
    await psql.query('create schema f1; create schema f2; create table f1.f (id int); create table f2.f (id int)');
    await watch('f1.f');
    await expect(watch('f2.f')).rejects.toThrow("f1.f is already watched as 'f'");
    expect(await watch('f2.f', 'f')).toBe("watching f2.f as 'f'");
  });

  test('two tables whose names make one function name record for themselves', async () => {
    await psql.query('create table "G-1" (id int primary key); create table "g 1" (id int primary key)');
    await watch('"G-1"');
    await watch('"g 1"');
    expect(await recorded('insert into "G-1" values (1); insert into "g 1" values (2)')).toEqual([
      { resource: 'G-1', operation: 'insert', keys: [1], rows: 1 },
      { resource: 'g 1', operation: 'insert', keys: [2], rows: 1 },
    ]);
  });

  test('a partitioned table reports its own name, whichever way a row is written, and once', async () => {
    await psql.query(`create table h (id int, jahr int, primary key (id, jahr)) partition by list (jahr);
      create table h1 partition of h for values in (2030); create table h2 partition of h for values in (2031);
      select change_feed.watch('h')`);
    const one = (operation: string, keys: unknown[]) => ({ resource: 'h', operation, keys, rows: keys.length });
    expect(await recorded('insert into h values (1, 2030), (2, 2031)')).toEqual([
      one('insert', [
        [1, 2030],
        [2, 2031],
      ]),
    ]);
    expect(await recorded('insert into h1 values (3, 2030)')).toEqual([one('insert', [[3, 2030]])]);
    expect(await recorded('delete from h2')).toEqual([one('delete', [[2, 2031]])]);
    await expect(watch('h1')).rejects.toThrow('public.h1 is a partition of public.h, which is watched');
    const { rows } = await psql.query(`select relation from change_feed.watched_table where resource = 'h'`);
    expect(rows).toEqual([{ relation: 'h' }]);
  });

  test('keys => false records without transition tables, and says neither keys nor how many', async () => {
    await psql.query('create table i (email text primary key); select change_feed.watch($$i$$, keys => false)');
    expect(await recorded(`insert into i values ('a@b')`)).toEqual([
      { resource: 'i', operation: 'insert', keys: null, rows: null },
    ]);
    const { rows } = await psql.query(`select tgnewtable from pg_trigger where tgrelid = 'i'::regclass`);
    expect(rows.every(({ tgnewtable }) => tgnewtable === null)).toBe(true);
  });
});

describe('emit', () => {
  test('commits with its transaction', async () => {
    expect(await recorded(`begin; select change_feed.emit('auswertung', '{"fertig": true}'); rollback`)).toEqual([]);
    expect(await recorded(`select change_feed.emit('auswertung', '{"fertig": true}')`)).toEqual([
      { resource: 'auswertung', operation: 'emit', keys: null, rows: null },
    ]);
  });

  test.each([
    [`select change_feed.emit('*')`, 'cannot name a resource'],
    ['select change_feed.emit(null)', 'cannot name a resource'],
    [`select change_feed.emit('a', to_jsonb(repeat('x', 65536)))`, 'at most 65536 bytes'],
  ])('%s is refused', async (call, message) => {
    await expect(psql.query(call)).rejects.toThrow(message);
  });
});
