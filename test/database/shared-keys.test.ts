import { expect, test } from '@jest/globals';
import { useWatchedDatabase } from '../watched-database.js';

// The short way of a recorder takes one row's key for that of the whole statement. Where rows share a key it must not: one
// statement would be several changes, or a key would be missing.

const database = useWatchedDatabase();

test.each<[string, string]>([
  ['the primary key is dropped', 'alter table t drop constraint t_pkey'],
  [
    'another table inherits',
    'create table heir () inherits (t); insert into heir select 1, 0 from generate_series(1, 2)',
  ],
  ['the index is gone, and the column null', 'alter table t drop constraint t_pkey, alter id drop not null'],
])('%s after the recorder has its plans: a statement is one change, with every key', async (_name, change) => {
  await database.psql.query(`drop table if exists t cascade; create table t (id int primary key, n int);
    select change_feed.watch('t'); insert into t values (1, 0), (2, 0)`);
  const writer = await database.session();
  for (let i = 0; i < 7; i += 1) await writer.query('update t set n = n + 1 where id = 1');
  await database.psql.query(change);
  if (!change.includes('heir')) await database.psql.query('insert into t values (1, 0), (1, 0)');
  const keys = async (write: string) => (await database.recorded(write, writer)).map((recorded) => recorded.keys);
  expect(await keys('update t set n = n + 1')).toEqual([[1, 2]]);
  expect(await keys('update t set n = n + 1 where id = 1')).toEqual([[1]]);
  expect(await keys('update t set n = n + 1 where id = 2')).toEqual([[2]]);
  expect(await keys('update t set id = 3 where id = 1')).toEqual([[1, 3]]);
});
