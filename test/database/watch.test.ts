import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../test-database.js';

let database: TestDatabase;
let psql: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  psql = new pg.Client({ connectionString: database.url, application_name: 'psql' });
  await psql.connect();
});

afterAll(async () => {
  await psql.end();
  await database.drop();
});

/** What the log has gained by these statements. */
async function recorded(statements: string): Promise<Record<string, unknown>[]> {
  const { rows } = await psql.query('select coalesce(max(id), 0) as id from change_feed.change');
  await psql.query(statements);
  const log = await psql.query(
    'select resource, operation, keys, row_count from change_feed.change where id > $1 order by id',
    [rows[0].id],
  );
  return log.rows.map(({ row_count, ...rest }) => ({ ...rest, rows: row_count === null ? null : Number(row_count) }));
}

async function watch(...args: unknown[]): Promise<string> {
  const list = args.map((_, i) => (i === 0 ? '$1::text::regclass' : `$${i + 1}`)).join(', ');
  return (await psql.query(`select change_feed.watch(${list}) as said`, args)).rows[0].said;
}

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
    expect(rows).toEqual([{ relation: 'a', resource: 'anders', keys: true }]);
  });

  test('of a watched table takes no lock: a writer in the middle of its transaction is not in the way', async () => {
    await psql.query('create table b (id int primary key); select change_feed.watch($$b$$)');
    const writer = new pg.Client({ connectionString: database.url });
    await writer.connect();
    await writer.query('begin; insert into b values (1)');
    expect(await watch('b')).toBe("already watching public.b as 'b'");
    await writer.query('rollback');
    await writer.end();
  });

  test('rolls back with its transaction', async () => {
    await psql.query('create table c (id int primary key)');
    await psql.query('begin; select change_feed.watch($$c$$); rollback');
    expect(await recorded('insert into c values (1)')).toEqual([]);
    const { rows } = await psql.query(`select from pg_proc where proname = 'record_c'`);
    expect(rows).toHaveLength(0);
  });

  test('unwatch takes all of it away, and may be called again', async () => {
    await psql.query('create table d (id int primary key); select change_feed.watch($$d$$)');
    const { rows } = await psql.query(`select change_feed.unwatch('d') as first, change_feed.unwatch('d') as second`);
    expect(rows[0]).toEqual({ first: 'no longer watching public.d', second: 'public.d was not watched' });
    expect(await recorded('insert into d values (1)')).toEqual([]);
    expect((await psql.query(`select from pg_proc where proname = 'record_d'`)).rows).toHaveLength(0);
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

describe('a trigger never breaks the write', () => {
  const survives: [string, string, string, unknown[] | null][] = [
    ['a renamed key column', 'alter table t rename id to nummer', 'insert into t (nummer) values (1)', null],
    ['a dropped key column', 'alter table t drop column id', 'insert into t (wert) values (1)', null],
    ['a column dropped before the key', 'alter table t drop column wert', 'insert into t values (7)', [7]],
    ['a column added', 'alter table t add column neu text', `insert into t values (7, 1, 'x')`, [7]],
    ['a key whose type has changed', 'alter table t alter column id type bigint', 'insert into t values (7)', [7]],
    ['a renamed table', 'alter table t rename to t_neu', 'insert into t_neu values (7)', [7]],
    ['session_replication_role = replica', 'set session_replication_role = replica', 'insert into t values (7)', [7]],
    [
      'extra checks of PL/pgSQL',
      `set plpgsql.extra_errors = 'all'; set plpgsql.variable_conflict = 'error'`,
      'insert into t values (7)',
      [7],
    ],
    [
      'a hostile search_path',
      `create schema boese; create function boese.lower(text) returns text language plpgsql as $$ begin raise 'boese'; end $$;
      create operator boese.= (leftarg = bigint, rightarg = int, function = int84eq); set search_path = boese, public, pg_catalog`,
      'insert into public.t values (7)',
      [7],
    ],
    [
      'a deferred constraint fired early',
      'begin; set constraints all immediate',
      'insert into t values (7); commit',
      [7],
    ],
    [
      'row level security',
      'alter table t enable row level security; alter table t force row level security',
      'insert into t values (7)',
      [7],
    ],
    [
      'settings as long as you like',
      `select set_config('change_feed.actor', repeat('ü', 100000), false), set_config('change_feed.client', repeat('x', 100000), false)`,
      'insert into t values (7)',
      [7],
    ],
    [
      'a key of 20 kB',
      'alter table t alter column id type text',
      `insert into t values (repeat('x', 2000) || md5('a')), (repeat('y', 2000)), (repeat('z', 2000)), (repeat('w', 2000)), (repeat('v', 2000))`,
      null,
    ],
  ];
  test.each(survives)('%s', async (_name, setUp, write, keys) => {
    const session = new pg.Client({ connectionString: database.url });
    await session.connect();
    await session.query(
      `create table t (id int primary key, wert int); select change_feed.watch('t'); insert into t values (0)`,
    );
    await session.query(setUp);
    await session.query(write);
    await session.query('reset all');
    const { rows } = await session.query('select operation, keys from change_feed.change order by id desc limit 1');
    expect(rows).toEqual([{ operation: 'insert', keys }]);
    await session.query('drop table if exists t, t_neu; drop schema if exists boese cascade');
    await session.end();
  });

  test("the writer's lock_timeout does not fail its commit while another notifier holds the commit lock", async () => {
    await psql.query(`create table u (id int primary key); select change_feed.watch('u')`);
    // As a lead that sleeps: only then does a writer ring.
    const lead = new pg.Client({ connectionString: database.url });
    await lead.connect();
    await lead.query('select pg_advisory_lock(1346847558, 1)');
    const { rows } = await psql
      .query(`begin; set local lock_timeout = '1ms'; insert into u values (1);
      set constraints all immediate; select current_setting('lock_timeout') as during; commit; `)
      .then((results) => [results].flat()[4] as pg.QueryResult);
    expect(rows).toEqual([{ during: '0' }]);
    expect((await psql.query('show lock_timeout')).rows[0].lock_timeout).toBe('0');
    await psql.query(`set lock_timeout = '7s'; insert into u values (2)`);
    expect((await psql.query('show lock_timeout')).rows[0].lock_timeout).toBe('7s');
    await psql.query('reset lock_timeout');
    await lead.end();
  });

  test('types of all kinds as keys: built-in ones as JSON, others as text', async () => {
    await psql.query(`create domain dom as int; create type mood as enum ('gut', 'schlecht');
      create table v (a int, b bigint, c numeric, d date, e uuid, f dom, g mood, h boolean, primary key (a, b, c, d, e, f, g, h));
      select change_feed.watch('v')`);
    const [{ keys }] = (await recorded(
      `insert into v values (1, 9007199254740993, 1.50, '2030-07-01', '2b0b2d0c-5f0e-4c53-9c11-0a3b6c7d8e9f', 5, 'gut', true)`,
    )) as [{ keys: unknown }];
    expect(keys).toEqual([
      [1, '9007199254740993', '1.50', '2030-07-01', '2b0b2d0c-5f0e-4c53-9c11-0a3b6c7d8e9f', '5', 'gut', true],
    ]);
  });
});

describe('rights', () => {
  /** A session of a plain user, who owns a schema. */
  async function asPlainUser(work: (session: pg.Client) => Promise<void>): Promise<void> {
    await runAsAdmin(
      `do $$ begin create role mallory login password 'mallory'; exception when duplicate_object then null; end $$`,
    );
    await psql.query('create schema if not exists mallory authorization mallory');
    const url = new URL(database.url);
    url.username = 'mallory';
    url.password = 'mallory';
    const session = new pg.Client({ connectionString: url.href });
    await session.connect();
    await session.query('set search_path = mallory');
    try {
      await work(session);
    } finally {
      await session.end();
    }
  }

  test('the owner of a table must not be a superuser by the cast of a key: it is never called', async () => {
    await asPlainUser(async (session) => {
      await session.query(`
        create type schluessel as (n int);
        create function gibjson(schluessel) returns json language plpgsql as
          $$ begin execute 'alter role mallory superuser'; return '1'; end $$;
        create cast (schluessel as json) with function gibjson(schluessel);
        create function gibtext(schluessel) returns text language plpgsql as
          $$ begin execute 'alter role mallory superuser'; return '1'; end $$;
        create cast (schluessel as text) with function gibtext(schluessel) as implicit;
        create table falle (id schluessel primary key)`);
    });
    await watch('mallory.falle');
    expect(await recorded(`insert into mallory.falle values (row(1))`)).toEqual([
      { resource: 'falle', operation: 'insert', keys: ['(1)'], rows: 1 },
    ]);
    expect((await psql.query(`select rolsuper from pg_roles where rolname = 'mallory'`)).rows[0].rolsuper).toBe(false);
  });

  test('nobody forges events by attaching our trigger function to a table of theirs', async () => {
    await psql.query(`create table w (id int primary key); select change_feed.watch('w')`);
    await psql.query('grant usage on schema change_feed to mallory');
    await asPlainUser(async (session) => {
      await session.query('create table eigene (id int)');
      await expect(
        session.query(`create trigger t after insert on eigene execute function change_feed.record_w('w')`),
      ).rejects.toThrow('permission denied');
    });
  });

  test('a plain user can neither watch, nor read the log, nor emit, nor prune', async () => {
    await asPlainUser(async (session) => {
      await session.query('create table if not exists meine (id int)');
      for (const call of [
        `select change_feed.watch('mallory.meine')`,
        'select * from change_feed.change',
        `select change_feed.emit('veranstaltung')`,
        `select change_feed.prune('0', 0)`,
        'select change_feed.ensure_epoch()',
      ]) {
        await expect(session.query(call)).rejects.toThrow('permission denied');
      }
    });
  });

  test('the owner of a table watches it as a member of change_feed_owner, and is told so', async () => {
    await psql.query(
      'grant usage on schema change_feed to mallory; grant execute on function change_feed.watch(regclass, text, boolean) to mallory',
    );
    await asPlainUser(async (session) => {
      await session.query('create table if not exists meine (id int)');
      await expect(session.query(`select change_feed.watch('mallory.meine')`)).rejects.toThrow('permission denied');
      await psql.query('grant change_feed_owner to mallory');
      try {
        const { rows } = await session.query(`select change_feed.watch('mallory.meine') as said`);
        expect(rows[0].said).toBe("watching mallory.meine as 'meine'");
        await psql.query('create table fremde (id int)');
        await expect(session.query(`select change_feed.watch('public.fremde')`)).rejects.toThrow(
          'only the owner of public.fremde',
        );
      } finally {
        await psql.query('revoke change_feed_owner from mallory');
      }
    });
  });

  test('all that stands in the schema belongs to change_feed_owner, which can not log in', async () => {
    const { rows } = await psql.query(`
      select relname as name, relowner::regrole::text as owner from pg_class where relnamespace = 'change_feed'::regnamespace
      union select proname, proowner::regrole::text from pg_proc where pronamespace = 'change_feed'::regnamespace`);
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter(({ owner }) => owner !== 'change_feed_owner')).toEqual([]);
    expect(
      (await psql.query(`select rolcanlogin, rolsuper from pg_roles where rolname = 'change_feed_owner'`)).rows,
    ).toEqual([{ rolcanlogin: false, rolsuper: false }]);
    const open =
      await psql.query(`select proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
      where pronamespace = 'change_feed'::regnamespace and a.grantee = 0`);
    expect(open.rows).toEqual([]);
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
