import { beforeEach, describe, expect, test } from '@jest/globals';
import { runAsAdmin } from '../test-database.js';
import { change, type Recorded, useWatchedDatabase } from '../watched-database.js';

const database = useWatchedDatabase();

beforeEach(async () => {
  await database.psql.query(`drop table if exists t, q cascade;
    create table t (id int primary key, n int not null default 0); insert into t select generate_series(1, 3);
    create table q (id int primary key, t_id int references t on delete cascade on update cascade); insert into q values (10, 1), (11, 1), (12, 2);
    select change_feed.watch('t'), change_feed.watch('q')`);
});

const t = (operation: string, keys: unknown[] | null, rows?: number) => change('t', operation, keys, rows);

const merge = `merge into t using (values (2), (3), (4)) s (id) on t.id = s.id
  when matched and s.id = 2 then delete when matched then update set n = 1 when not matched then insert values (s.id)`;

test.each<[string, string, Recorded[]]>([
  ['an INSERT of several rows', 'insert into t values (4), (5)', [t('insert', [4, 5])]],
  ['an INSERT of nothing', 'insert into t select 4 where false', []],
  ['an UPDATE of nothing', 'update t set n = 1 where id = 99', []],
  ['a DELETE of nothing', 'delete from t where id = 99', []],
  ['ON CONFLICT DO NOTHING', 'insert into t values (1), (4) on conflict do nothing', [t('insert', [4])]],
  ['ON CONFLICT DO NOTHING that does nothing', 'insert into t values (1) on conflict do nothing', []],
  [
    'ON CONFLICT DO UPDATE',
    'insert into t values (1), (4) on conflict (id) do update set n = 1',
    [t('insert', [4]), t('update', [1])],
  ],
  ['MERGE', merge, [t('insert', [4]), t('update', [3]), t('delete', [2]), change('q', 'delete', [12])]],
  ['TRUNCATE', 'truncate t, q', [t('truncate', null), change('q', 'truncate', null)]],
  ['TRUNCATE CASCADE', 'truncate t cascade', [t('truncate', null), change('q', 'truncate', null)]],
  ['COPY', `copy t from program 'printf "4\\t0\\n5\\t0\\n"'`, [t('insert', [4, 5])]],
  ['SELECT FOR UPDATE', 'select * from t for update', []],
  [
    'writable CTEs',
    `with gone as (delete from t where id = 3 returning id), new as (insert into t values (4) returning id)
      update t set n = 1 where id = 2`,
    [t('delete', [3]), t('insert', [4]), t('update', [2])],
  ],
  [
    'two writes of a kind to one table in one statement',
    'with a as (update t set n = 1 where id = 1 returning id) update t set n = 2 where id = 2',
    [t('update', [1, 2])],
  ],
  [
    'a DELETE that cascades',
    'delete from t where id in (1, 2)',
    [change('q', 'delete', [10, 11, 12]), t('delete', [1, 2])],
  ],
  [
    'an UPDATE that cascades',
    'update t set id = 7 where id = 1',
    [change('q', 'update', [10, 11]), t('update', [1, 7])],
  ],
  [
    'several statements in one transaction, in their order',
    'begin; insert into t values (4); update t set n = 1 where id = 4; delete from t where id = 4; commit',
    [t('insert', [4]), t('update', [4]), t('delete', [4])],
  ],
  ['a transaction that rolls back', 'begin; insert into t values (4); rollback', []],
  [
    'a savepoint that rolls back',
    'begin; insert into t values (4); savepoint s; insert into t values (5); rollback to s; commit',
    [t('insert', [4])],
  ],
  [
    'a function',
    `do $$ begin for i in 4..5 loop insert into t values (i); end loop; end $$`,
    [t('insert', [4]), t('insert', [5])],
  ],
  [
    'a cursor',
    'begin; declare c cursor for select * from t where id = 2 for update; fetch c; update t set n = 1 where current of c; commit',
    [t('update', [2])],
  ],
  [
    'ALTER TABLE that rewrites it',
    `alter table t alter n type text using n::text, add x text default clock_timestamp()::text`,
    [],
  ],
  ['CLUSTER', 'cluster t using t_pkey', []],
])('%s', async (_name, statement, events) => {
  const byOperation = (a: Recorded, b: Recorded) => (a.resource + a.operation < b.resource + b.operation ? -1 : 1);
  const inOrder = statement.startsWith('begin');
  const found = await database.recorded(statement);
  expect(inOrder ? found : found.sort(byOperation)).toEqual(inOrder ? events : [...events].sort(byOperation));
});

test('VACUUM FULL makes no event, and those after it are right', async () => {
  expect(await database.recorded('vacuum full t')).toEqual([]);
  expect(await database.recorded('insert into t values (4)')).toEqual([t('insert', [4])]);
});

test('without keys each kind that a statement may make is told, whether it did or not', async () => {
  await database.psql.query(`select change_feed.watch('t', keys => false)`);
  const upsert = await database.recorded('insert into t values (4) on conflict (id) do update set n = 1');
  expect(upsert.map(({ operation }) => operation).sort()).toEqual(['insert', 'update']);
  expect(await database.recorded('update t set n = 1 where false')).toEqual([t('update', null)]);
});

describe('triggers of the user', () => {
  test('that write to the same table, and to another one: each write is told once', async () => {
    await database.psql.query(`create or replace function weiter() returns trigger language plpgsql as $$ begin
        if new.id < 6 then insert into t values (new.id + 1); insert into q values (new.id * 100, new.id); end if; return null; end $$;
      create trigger a_weiter after insert on t for each row execute function weiter()`);
    const events = await database.recorded('insert into t values (4)');
    expect(
      events
        .filter(({ resource }) => resource === 't')
        .flatMap(({ keys }) => keys)
        .sort(),
    ).toEqual([4, 5, 6]);
    expect(
      events
        .filter(({ resource }) => resource === 'q')
        .flatMap(({ keys }) => keys)
        .sort(),
    ).toEqual([400, 500]);
    expect(events).toHaveLength(5);
  });

  test('that change the row before it is written: the key that was written counts', async () => {
    await database.psql.query(`create or replace function hundert() returns trigger language plpgsql as $$ begin
        new.id := new.id + 100; return new; end $$;
      create trigger vorher before insert on t for each row execute function hundert()`);
    expect(await database.recorded('insert into t values (4)')).toEqual([t('insert', [104])]);
  });

  test('that suppress a row: it is not told', async () => {
    await database.psql.query(`create or replace function nie() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger vorher before delete on t for each row execute function nie()`);
    expect(await database.recorded('delete from t where id = 3')).toEqual([]);
  });

  test('INSTEAD OF on a view, and a view that Postgres updates itself: the table below is told', async () => {
    await database.psql.query(`create view sicht as select id, n * 2 as doppelt from t; create view einfach as select * from t;
      create or replace function statt() returns trigger language plpgsql as $$ begin
        insert into t values (new.id, new.doppelt / 2); return new; end $$;
      create trigger statt instead of insert on sicht for each row execute function statt()`);
    expect(await database.recorded('insert into sicht values (4, 8), (5, 10)')).toEqual([
      t('insert', [4]),
      t('insert', [5]),
    ]);
    expect(await database.recorded('update einfach set n = 1 where id = 4')).toEqual([t('update', [4])]);
  });

  test('deferred constraints: a transaction that one of them fails tells nothing', async () => {
    await database.psql.query(`alter table q alter constraint q_t_id_fkey deferrable initially deferred`);
    expect(await database.recorded('begin; insert into q values (13, 8); insert into t values (8); commit')).toEqual([
      change('q', 'insert', [13]),
      t('insert', [8]),
    ]);
    await expect(database.recorded('begin; insert into q values (14, 9); commit')).rejects.toThrow(
      'violates foreign key constraint',
    );
    await database.psql.query('rollback');
    expect(await database.recorded('select 1')).toEqual([]);
  });

  test('row level security, forced: a writer who sees only part names the rows that it changed', async () => {
    await runAsAdmin(
      `do $$ begin create role teil login password 'teil'; exception when duplicate_object then null; end $$`,
    );
    await database.psql.query(`alter table t enable row level security; alter table t force row level security;
      create policy nur on t to teil using (id <> 2) with check (true); grant select, update, insert on t to teil`);
    const writer = await database.session('teil');
    expect(await database.recorded('update t set n = 1', writer)).toEqual([t('update', [1, 3])]);
    expect(await database.recorded('insert into t values (4)', writer)).toEqual([t('insert', [4])]);
    await database.psql.query('drop owned by teil');
  });

  test('watched and unwatched in the transaction that writes', async () => {
    expect(
      await database.recorded(`begin; insert into t values (4); select change_feed.unwatch('t'); insert into t values (5);
      select change_feed.watch('t'); insert into t values (6); commit`),
    ).toEqual([t('insert', [4]), t('change', null), t('insert', [6])]);
  });
});
