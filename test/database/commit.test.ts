import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { until } from '../until.js';
import { createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

// What runs within the COMMIT of a writer while the leader is idle: it raises nothing, and changes no setting.

let database: WatchedDatabase;
let psql: pg.Client;
let leader: pg.Client;
let heard: string[];

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql } = database);
  await psql.query(`create table t (id int primary key); select change_feed.watch('t');
    create table parent (id int primary key); insert into parent values (1);
    create table child (id int primary key, parent int references parent deferrable initially deferred);
    select change_feed.watch('child'); create role nobody_${process.pid}; grant all on t to nobody_${process.pid}`);
});

beforeEach(async () => {
  await leader?.end();
  leader = await database.session();
  heard = [];
  leader.on('notification', ({ payload = '' }) => heard.push(payload));
  await psql.query('delete from t; delete from child');
  await leader.query('listen change_feed; select change_feed.lead(), change_feed.begin_idle()');
});

afterAll(async () => {
  await psql.query(`drop owned by nobody_${process.pid}; drop role nobody_${process.pid}`);
  await database.drop();
});

/** What the leader has received by now. */
async function notifications(): Promise<string[]> {
  await leader.query('select');
  return heard;
}

describe('COMMIT succeeds', () => {
  // A leader that is gone, and has not said that it is awake
  const GONE = `select setval('change_feed.leader_idle', 1)`;
  const cases: readonly (readonly [name: string, before: string, within: string])[] = [
    ['as it is', '', ''],
    ['in a transaction that ends read-only', '', 'set transaction read only'],
    ['in a transaction that ends read-only, when no server runs', GONE, 'set transaction read only'],
    ['when no server runs', GONE, ''],
    ['in a session that becomes read-only, when no server runs', GONE, 'set transaction_read_only = on'],
    ['under SERIALIZABLE', 'set default_transaction_isolation = serializable', ''],
    [
      'under REPEATABLE READ, read-only',
      'set default_transaction_isolation = "repeatable read"',
      'set transaction read only',
    ],
    ['with a lock_timeout', '', `set local lock_timeout = '1ms'`],
    ['with a statement_timeout', '', `set local statement_timeout = '250ms'`],
    ['as a role without rights', '', `set local role nobody_${process.pid}`],
    ['as another session user', '', `set session authorization nobody_${process.pid}`],
    ['with errors that end the session', 'set exit_on_error = on', ''],
    ['with errors that end the session, read-only', 'set exit_on_error = on', 'set transaction read only'],
    ['with all checks of PL/pgSQL', `set plpgsql.extra_errors = 'all'; set plpgsql.variable_conflict = 'error'`, ''],
    ['with constraints immediate', '', 'set constraints all immediate'],
    ['with constraints immediate, then read-only', '', 'set constraints all immediate; set transaction read only'],
    [
      'with temporary things that have our names',
      `create temp table pending_notification (xid xid8); create temp table leader (pid int); create temp sequence leader_idle;
        create function pg_temp.pg_notify(text, text) returns void language plpgsql as $$ begin raise 'mine'; end $$;
        create function pg_temp.is_recent(bigint) returns boolean language plpgsql as $$ begin raise 'mine'; end $$;
        set search_path = pg_temp, pg_catalog, public`,
      '',
    ],
    ['after a savepoint that was rolled back to', '', 'savepoint a; insert into public.t values (2); rollback to a'],
    [
      'with the feed revoked from its owner',
      '',
      'revoke all on all tables in schema change_feed from change_feed_owner',
    ],
    ['with its sequence revoked', '', 'revoke all on sequence change_feed.leader_idle from change_feed_owner'],
    ['with the schema revoked', '', 'revoke all on schema change_feed from change_feed_owner'],
    ['without its sequence', '', 'drop sequence change_feed.leader_idle cascade'],
    ['without the leader', '', 'drop table change_feed.leader cascade'],
    ['without one of its functions', '', 'drop function change_feed.is_recent(bigint)'],
    [
      'with a function that is cancelled',
      '',
      `create or replace function change_feed.is_recent(idle_since bigint) returns boolean language plpgsql as $$ begin raise query_canceled; end $$`,
    ],
  ];

  test.each(cases)('%s', async (_name, before, within) => {
    const own = await createWatchedDatabase();
    try {
      await own.psql.query(`create table t (id int primary key); select change_feed.watch('t');
        grant all on t to nobody_${process.pid}`);
      const idle = await own.session();
      await idle.query('select change_feed.lead(), change_feed.begin_idle()');
      const writer = await own.session();
      await writer.query(before);
      if (before === GONE) await idle.query('select pg_advisory_unlock_all()');
      await writer.query('begin; insert into public.t values (1)');
      await writer.query(within);
      const { command } = await writer.query('commit');
      expect(command).toBe('COMMIT');
      const { rows } = await own.psql.query('select keys from change_feed.change');
      expect(rows).toEqual([{ keys: '[1]' }]);
    } finally {
      await own.drop();
    }
  });
});

test('a writer notifies an idle leader once, whatever it changed, and says nothing of it', async () => {
  await psql.query(`begin; insert into t values (1); update t set id = 2; insert into child values (1, 1);
    select change_feed.emit('secret', '{"a": 1}'); commit`);
  expect(await notifications()).toEqual(['']);
});

test('whoever listens without any right is told nothing of what changed', async () => {
  const listener = await database.session();
  const payloads: string[] = [];
  listener.on('notification', ({ payload = '' }) => payloads.push(payload));
  await listener.query(`set role nobody_${process.pid}; listen change_feed`);
  await psql.query(`insert into t values (11)`);
  await psql.query(`select change_feed.emit('secret')`);
  await until(() => payloads.length === 2);
  expect(payloads).toEqual(['', '']);
});

describe('the settings of a writer', () => {
  test('are the same after each of its statements and at commit', async () => {
    const writer = await database.session();
    const settings = async () =>
      (await writer.query('select name, setting from pg_settings order by name')).rows as unknown[];
    // which loads PL/pgSQL with its settings
    await writer.query(`insert into t values (1); begin; set local lock_timeout = '200ms'`);
    const before = await settings();
    await writer.query('update t set id = 2; delete from t; insert into t values (3)');
    await writer.query(`select change_feed.emit('x')`);
    expect(await settings()).toEqual(before);
    await writer.query('set constraints all immediate');
    expect(await settings()).toEqual(before);
    await writer.query('commit');
    expect((await writer.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '0' }]);
  });

  test.each([
    ['at commit', 'commit'],
    ['when constraints are made immediate', 'set constraints all immediate'],
  ])('a lock_timeout holds for a deferred foreign key %s', async (_when, statement) => {
    const other = await database.session();
    await other.query('begin; select from parent for update');
    const writer = await database.session();
    await writer.query(
      `begin; set local lock_timeout = '200ms'; insert into t values (1); insert into child values (2, 1)`,
    );
    await expect(writer.query(statement)).rejects.toThrow('canceling statement due to lock timeout');
    await writer.query('rollback');
    await other.query('rollback');
  });

  test('no function of the schema changes one', async () => {
    const { rows } = await psql.query(
      // lock_tables() is called by watch_all() alone, and no writer runs that.
      `select proname from pg_proc where pronamespace = 'change_feed'::regnamespace and proname <> 'lock_tables' and prosrc ~* 'set_config|set\\s+(local|session)|set\\s+role'`,
    );
    expect(rows).toEqual([]);
  });
});

test('writers under SERIALIZABLE do not fail each other while the leader is idle', async () => {
  await psql.query(`create table s1 (id int primary key); create table s2 (id int primary key);
    select change_feed.watch('s1'), change_feed.watch('s2')`);
  const [one, two] = [await database.session(), await database.session()];
  for (let id = 0; id < 20; id += 1) {
    for (const [session, table] of [
      [one, 's1'],
      [two, 's2'],
    ] as const) {
      await session.query(`begin isolation level serializable; select count(*) from ${table}`);
      await session.query(`insert into ${table} values (${id})`);
      await session.query(`select change_feed.emit('${table}')`);
    }
    await Promise.all([one.query('commit'), two.query('commit')]);
  }
});

test('a VACUUM that gives space back fails no writer with a lock_timeout', async () => {
  // TRUNCATE of a table's end is all that VACUUM locks out writers for.
  const { rows } = await psql.query(`
    select c.relname, o.option_value as truncates, t.option_value as toast_truncates, c.reltoastrelid <> 0 as has_toast
    from pg_class c
    left join pg_options_to_table(c.reloptions) o on o.option_name = 'vacuum_truncate'
    left join pg_class k on k.oid = c.reltoastrelid
    left join lateral pg_options_to_table(k.reloptions) t on t.option_name = 'vacuum_truncate'
    where c.relnamespace = 'change_feed'::regnamespace and c.relkind = 'r'
      and c.relname in ('change', 'pending_notification', 'tick', 'horizon', 'leader', 'call', 'server_report',
        'server_answer')`);
  expect(rows).toHaveLength(8);
  for (const { relname, truncates, toast_truncates, has_toast } of rows) {
    expect([relname, truncates]).toEqual([relname, 'false']);
    if (has_toast && relname === 'change') expect([relname, toast_truncates]).toEqual([relname, 'false']);
  }
});

test('VACUUM of a log that was pruned leaves its file as it is', async () => {
  await psql.query(`select change_feed.emit('many', to_jsonb(repeat('x', 3000))) from generate_series(1, 2000)`);
  const size = async () =>
    (
      await psql.query(`select pg_relation_size('change_feed.change')::int as size, pg_relation_size(reltoastrelid)::int as toast
      from pg_class where oid = 'change_feed.change'::regclass`)
    ).rows[0];
  const before = await size();
  await psql.query(`delete from change_feed.change; delete from change_feed.pending_notification`);
  await psql.query('vacuum change_feed.change');
  expect(await size()).toEqual(before);
});
