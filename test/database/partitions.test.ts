import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
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

describe('a partitioned table', () => {
  beforeEach(async () => {
    await psql.query(`drop table if exists m, m_1, m_2, m_3, m_rest cascade;
      create table m (jahr int, id int, wert int, primary key (id, jahr)) partition by list (jahr);
      create table m_1 partition of m for values in (1);
      create table m_2 partition of m for values in (2) partition by range (id);
      create table m_2a partition of m_2 for values from (0) to (100);
      create table m_2b partition of m_2 for values from (100) to (200);
      create table m_rest partition of m default`);
    await watch('m');
  });

  test.each([
    [
      'the parent',
      'insert into m values (1, 1), (2, 2), (2, 102), (9, 9)',
      [
        [1, 1],
        [2, 2],
        [102, 2],
        [9, 9],
      ],
    ],
    ['a partition', 'insert into m_1 values (1, 1)', [[1, 1]]],
    [
      'a partition that is partitioned',
      'insert into m_2 values (2, 2), (2, 102)',
      [
        [2, 2],
        [102, 2],
      ],
    ],
    ['a partition of a partition', 'insert into m_2b values (2, 102)', [[102, 2]]],
    ['the default partition', 'insert into m_rest values (9, 9)', [[9, 9]]],
    [
      'the parent, by COPY',
      `copy m from program 'printf "1\\t1\\t0\\n2\\t102\\t0\\n"'`,
      [
        [1, 1],
        [102, 2],
      ],
    ],
  ])('makes one event under its name for a write to %s', async (_name, write, keys) => {
    expect(await recorded(write)).toEqual([change('m', 'insert', keys)]);
  });

  test('a row that moves to another partition is one update with the old key and the new', async () => {
    await psql.query('insert into m values (2, 2, 0)');
    expect(await recorded('update m set jahr = 1, id = 7 where id = 2')).toEqual([
      change('m', 'update', [
        [2, 2],
        [7, 1],
      ]),
    ]);
    // ON CONFLICT may not move a row: the write fails as it does without us, and nothing is recorded.
    await expect(
      psql.query('insert into m values (1, 7) on conflict (id, jahr) do update set jahr = 2'),
    ).rejects.toThrow('invalid ON UPDATE specification');
  });

  test('a row that moves within a partition that is partitioned', async () => {
    await psql.query('insert into m values (2, 2, 0)');
    expect(await recorded('update m_2 set id = 102')).toEqual([
      change('m', 'update', [
        [102, 2],
        [2, 2],
      ]),
    ]);
    expect(await recorded('delete from m_2')).toEqual([change('m', 'delete', [[102, 2]])]);
  });

  test('TRUNCATE of a partition is one event, of the parent one for each table of the tree', async () => {
    expect(await recorded('truncate m_1')).toEqual([change('m', 'truncate', null)]);
    const events = await recorded('truncate m');
    expect(events).toHaveLength(6);
    expect(new Set(events.map(({ resource, operation }) => `${operation} ${resource}`))).toEqual(
      new Set(['truncate m']),
    );
  });

  test('a partition made since is heard through the parent, and by itself when watch() was called again', async () => {
    await psql.query('create table m_3 partition of m for values in (3)');
    expect(await recorded('insert into m values (3, 1)')).toEqual([change('m', 'insert', [[1, 3]])]);
    expect(await recorded('insert into m_3 values (3, 2)')).toEqual([]);
    expect(await watch('m')).toBe("watching public.m as 'm'");
    expect(await recorded('insert into m_3 values (3, 3)')).toEqual([change('m', 'insert', [[3, 3]])]);
    expect(await watch('m')).toBe("already watching public.m as 'm'");
  });

  test('a table with other places for its columns can be attached: the right ones are named', async () => {
    await psql.query(`create table m_3 (weg text, wert int, id int not null, jahr int not null, primary key (id, jahr));
      alter table m_3 drop weg; insert into m_3 values (0, 5, 3);
      alter table m attach partition m_3 for values in (3)`);
    expect(await recorded('update m set wert = 1 where jahr = 3')).toEqual([change('m', 'update', [[5, 3]])]);
    await watch('m');
    expect(await recorded('update m_3 set wert = 2')).toEqual([change('m', 'update', [[5, 3]])]);
  });

  test('one that was watched by itself and attached reports its own name until watch() takes it over', async () => {
    await psql.query(`create table m_3 (jahr int, id int, wert int, primary key (id, jahr)); select change_feed.watch('m_3');
      alter table m attach partition m_3 for values in (3)`);
    expect(await recorded('insert into m_3 values (3, 1)')).toEqual([change('m_3', 'insert', [[1, 3]])]);
    await watch('m');
    expect(await recorded('insert into m_3 values (3, 2)')).toEqual([change('m', 'insert', [[2, 3]])]);
    const { rows } = await psql.query(`select relation from change_feed.watched_table where resource like 'm%'`);
    expect(rows).toEqual([{ relation: 'm' }]);
  });

  test.each(['', 'concurrently'])(
    'a partition that was detached %s goes on under that name, until it is told',
    async (how) => {
      await psql.query('drop table m_rest'); // a default partition excludes CONCURRENTLY
      await psql.query(`alter table m detach partition m_1 ${how}`);
      expect(await recorded('insert into m_1 values (1, 1)')).toEqual([change('m', 'insert', [[1, 1]])]);
      // Its new definition is its own: the former parent's events stay as they were.
      await psql.query('truncate m_1; alter table m_1 drop constraint m_1_pkey, add primary key (wert)');
      expect(await watch('m_1', 'archiv')).toBe("watching public.m_1 as 'archiv'");
      expect(await recorded('insert into m_1 values (1, 2, 5)')).toEqual([change('archiv', 'insert', [5])]);
      expect(await recorded('insert into m values (2, 2)')).toEqual([change('m', 'insert', [[2, 2]])]);
      await psql.query(`select change_feed.unwatch('m')`);
      expect(await recorded('insert into m_1 values (1, 2, 6)')).toEqual([change('archiv', 'insert', [6])]);
    },
  );

  test('a partition that was detached keeps its name when the former parent gets another', async () => {
    await psql.query('alter table m detach partition m_1');
    expect(await watch('m', 'anders')).toBe("watching public.m as 'anders'");
    expect(await recorded('insert into m values (2, 2)')).toEqual([change('anders', 'insert', [[2, 2]])]);
    expect(await recorded('insert into m_1 values (1, 1)')).toEqual([change('m', 'insert', [[1, 1]])]);
    expect(
      (await psql.query(`select * from change_feed.watched_table where relation::text ~ '^m' order by 1`)).rows,
    ).toEqual([
      { relation: 'm', resource: 'anders', keys: true, scopes: [] },
      { relation: 'm_1', resource: 'm', keys: true, scopes: [] },
    ]);
  });

  test('unwatch takes the triggers off each partition', async () => {
    await psql.query(`select change_feed.unwatch('m')`);
    expect(await recorded('insert into m values (1, 1), (2, 2); insert into m_1 values (1, 3); truncate m')).toEqual(
      [],
    );
  });

  describe('with a foreign partition', () => {
    /** A table of this database, seen through postgres_fdw, as a partition of m. */
    beforeEach(async () => {
      const { username, password, port, pathname } = new URL(database.url);
      await psql.query(`create extension if not exists postgres_fdw; create table if not exists fern (jahr int, id int, wert int);
        create server if not exists fern foreign data wrapper postgres_fdw
          options (host '127.0.0.1', port '${port}', dbname '${pathname.slice(1)}');
        create user mapping if not exists for public server fern options (user '${username}', password '${password}');
        alter table m drop constraint m_pkey;
        create foreign table m_fern partition of m for values in (4) server fern options (table_name 'fern')`);
    });

    test('it is watched without keys only, and then writes do not fail', async () => {
      await psql.query(`select change_feed.unwatch('m')`);
      await expect(watch('m')).rejects.toMatchObject({
        message: 'public.m has the foreign table public.m_fern as a partition and cannot be watched',
        hint: "Only without keys and scopes: select change_feed.watch('public.m', keys => false)",
      });
      await watch('m', undefined, false);
      expect(await recorded('insert into m values (4, 1), (1, 1)')).toEqual([change('m', 'insert', null)]);
      expect(await recorded('insert into m_fern values (4, 1)')).toEqual([change('m', 'insert', null)]);
      expect(await recorded('update m set wert = 1')).toEqual([change('m', 'update', null)]);
      expect(await recorded('delete from m')).toEqual([change('m', 'delete', null)]);
    });

    // What can't be caught: nobody asks us when a partition is attached.
    test('that was attached since makes writes to its rows fail, until the table is watched without keys', async () => {
      await expect(psql.query('insert into m values (4, 1)')).rejects.toThrow(
        'cannot collect transition tuples from child foreign tables',
      );
      expect(await recorded('insert into m values (1, 1)')).toEqual([change('m', 'insert', [[1, 1]])]);
      await watch('m', undefined, false);
      expect(await recorded('insert into m values (4, 1)')).toEqual([change('m', 'insert', null)]);
    });
  });
});

describe('inheritance', () => {
  const notices: string[] = [];
  beforeAll(async () => {
    psql.on('notice', ({ message = '', hint = '' }) => notices.push(`${message}. ${hint}`));
    await psql.query(`create table stadt (id int primary key, n int default 0); create table hauptstadt (land text) inherits (stadt);
      insert into hauptstadt values (1); insert into stadt values (2)`);
    await watch('stadt');
  });

  test('watch() tells of each inheriting table that is not watched, and how to', () => {
    expect(notices).toEqual([
      `public.hauptstadt inherits from public.stadt: what is written to it directly is not recorded. ` +
        `Watch it under the same name: select change_feed.watch('public.hauptstadt', 'stadt')`,
    ]);
  });

  test.each([
    ['update stadt set n = n + 1', [change('stadt', 'update', [2, 1])]],
    ['update only stadt set n = n + 1', [change('stadt', 'update', [2])]],
    ['update only stadt set n = n + 1 where id = 1', []],
    ['update hauptstadt set n = n + 1', []],
  ])('%s', async (write, events) => {
    expect(await recorded(write)).toEqual(events);
  });

  test('an inheriting table watched under the same name: every write makes one event', async () => {
    await watch('hauptstadt', 'stadt');
    notices.length = 0;
    await watch('stadt');
    expect(notices).toEqual([]);
    expect(await recorded('update hauptstadt set n = n + 1')).toEqual([change('stadt', 'update', null, 1)]);
    expect(await recorded('update stadt set n = n + 1')).toEqual([change('stadt', 'update', [2, 1])]);
    expect(await recorded('delete from only stadt')).toEqual([change('stadt', 'delete', [2])]);
  });
});

describe('a foreign table that inherits', () => {
  const notices: { message: string; hint: string }[] = [];
  const onNotice = ({ message = '', hint = '' }) => notices.push({ message, hint });
  /** far, of this database, as a foreign table at the end of top, middle and bottom. */
  const bottom = `create foreign table bottom () inherits (middle) server far options (table_name 'far')`;

  beforeEach(async () => {
    const { username, password, port, pathname } = new URL(database.url);
    await psql.query(`drop table if exists top, far cascade; create extension if not exists postgres_fdw;
      create table far (id int, n int); insert into far values (9, 0);
      create server if not exists far foreign data wrapper postgres_fdw
        options (host '127.0.0.1', port '${port}', dbname '${pathname.slice(1)}');
      create user mapping if not exists for public server far options (user '${username}', password '${password}');
      create table top (id int primary key, n int); create table middle () inherits (top);
      insert into top values (1, 0); insert into middle values (2, 0)`);
    notices.length = 0;
    psql.on('notice', onNotice);
  });
  afterEach(() => {
    psql.off('notice', onNotice);
  });

  test.each(['top', 'middle'])('makes watch() of %s refuse keys, and without them no write fails', async (table) => {
    await psql.query(bottom);
    await expect(watch(table)).rejects.toMatchObject({
      message: `public.${table} is inherited by the foreign table public.bottom and cannot be watched`,
      hint: `Only without keys and scopes: select change_feed.watch('public.${table}', keys => false)`,
    });
    await watch(table, undefined, false);
    expect(await recorded(`update ${table} set n = 1`)).toEqual([change(table, 'update', null)]);
    expect((await psql.query('select n from far')).rows).toEqual([{ n: 1 }]);
    expect(await recorded(`insert into ${table} values (3, 0)`)).toEqual([change(table, 'insert', null)]);
    expect(await recorded(`delete from ${table}`)).toEqual([change(table, 'delete', null)]);
    expect((await psql.query('select n from far')).rows).toEqual([]);
  });

  test('is not advised to be watched; what is advised is not refused', async () => {
    await psql.query(`${bottom}; create temp table passing () inherits (top)`);
    await watch('top', undefined, false);
    expect(notices).toEqual([
      {
        message: 'public.middle inherits from public.top: what is written to it directly is not recorded',
        hint: "Watch it under the same name: select change_feed.watch('public.middle', 'top', keys => false)",
      },
      {
        message: 'public.bottom inherits from public.top: what is written to it directly is not recorded',
        hint: 'A foreign table cannot be watched. Write to it through public.top',
      },
    ]);
    await watch('middle', 'top', false);
    expect(await recorded('update middle set n = 1')).toEqual([change('top', 'update', null)]);
    await psql.query('drop table passing');
  });

  // Postgres asks nobody when a foreign table begins to inherit.
  test('from a table that is watched with keys makes writes to its rows fail, until that is watched without', async () => {
    await watch('top');
    await psql.query(bottom);
    expect(await recorded('insert into top values (3, 0)')).toEqual([change('top', 'insert', [3])]);
    expect(await recorded('update only top set n = 1 where id = 1')).toEqual([change('top', 'update', [1])]);
    await expect(psql.query('update top set n = 2')).rejects.toThrow(
      'cannot collect transition tuples from child foreign tables',
    );
    await watch('top', undefined, false);
    expect(await recorded('update top set n = 2')).toEqual([change('top', 'update', null)]);
  });
});
