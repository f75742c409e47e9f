import { expect, test } from '@jest/globals';
import { change, useWatchedDatabase } from '../watched-database.js';

// What can't be caught or has a price: docs/migrations.md says so, and these show that it is true.

const database = useWatchedDatabase(`create table t (id int primary key, text text); select change_feed.watch('t')`);

test('triggers that someone has disabled tell nothing; watch() enables them', async () => {
  await database.psql.query('alter table t disable trigger user');
  expect(await database.recorded('insert into t values (1)')).toEqual([]);
  expect((await database.psql.query(`select change_feed.watch('t') as said`)).rows[0].said).toBe(
    "watching public.t as 't'",
  );
  expect(await database.recorded('insert into t values (2)')).toEqual([change('t', 'insert', [2])]);
});

test('session_replication_role = replica: recorded, and not rung for', async () => {
  const lead = await database.session();
  const heard: string[] = [];
  lead.on('notification', ({ payload = '' }) => heard.push(payload));
  await lead.query('listen change_feed; select change_feed.lead(), change_feed.begin_idle()');
  expect(
    await database.recorded(
      'set session_replication_role = replica; insert into t values (3); reset session_replication_role',
    ),
  ).toEqual([change('t', 'insert', [3])]);
  await lead.query('select 1');
  expect(heard).toEqual([]);
  await database.psql.query('insert into t values (4)');
  await lead.query('select 1');
  expect(heard).toEqual(['']);
  await lead.query('select pg_advisory_unlock_all(), change_feed.end_idle()');
  await database.psql.query('select change_feed.note_tick()');
});

test('REFRESH of a materialized view whose function writes to a watched table: recorded, and not rung for', async () => {
  await database.psql.query(`create function schreibt() returns int language plpgsql as $$ begin
    insert into public.t values (5); return 1; end $$; create materialized view sicht as select schreibt() as x with no data`);
  const lead = await database.session();
  await lead.query('select change_feed.lead(), change_feed.begin_idle()');
  expect(await database.recorded('refresh materialized view sicht')).toEqual([change('t', 'insert', [5])]);
  expect((await database.psql.query('table change_feed.pending_notification')).rows).toEqual([]);
  await lead.query('select pg_advisory_unlock_all()');
});

test('transition tables count towards temp_file_limit; keys => false uses none', async () => {
  await database.psql.query(`create table breit (id int primary key, text text); insert into breit select i, repeat(md5(i::text), 30)
    from generate_series(1, 10000) i; select change_feed.watch('breit')`);
  const write = `set temp_file_limit = '1MB'; set work_mem = '64kB'; update breit set text = text || 'x'`;
  await expect(database.psql.query(write)).rejects.toThrow(/temporary file size exceeds "?temp_file_limit/);
  await database.psql.query(`reset temp_file_limit; select change_feed.watch('breit', keys => false)`);
  expect(await database.recorded(write)).toEqual([change('breit', 'update', null)]);
  await database.psql.query('reset all');
});

test('a lock on the log, as VACUUM FULL takes it, makes writers wait, and fails one with a lock_timeout', async () => {
  const other = await database.session();
  await other.query('begin; lock table change_feed.change in access exclusive mode');
  await expect(database.psql.query(`set lock_timeout = '50ms'; insert into t values (6)`)).rejects.toThrow(
    'canceling statement due to lock timeout',
  );
  await other.query('rollback');
  await database.psql.query('reset lock_timeout');
  expect(await database.recorded('insert into t values (6)')).toEqual([change('t', 'insert', [6])]);
});

test('a key that changes places with a column of its type is told by that one until watch() is called again', async () => {
  await database.psql.query(`create table tausch (id int primary key, andere int unique not null); select change_feed.watch('tausch');
    alter table tausch rename id to x; alter table tausch rename andere to id; alter table tausch rename x to andere`);
  expect(await database.recorded('insert into tausch (andere, id) values (1, 100)')).toEqual([
    change('tausch', 'insert', [100]),
  ]);
  await database.psql.query(`select change_feed.watch('tausch')`);
  expect(await database.recorded('insert into tausch (andere, id) values (2, 200)')).toEqual([
    change('tausch', 'insert', [2]),
  ]);
});
