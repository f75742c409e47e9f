import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { useWatchedDatabase } from '../watched-database.js';

// A table is watched with a scope, the scope's column is changed, and the table is written to without another watch(): no write
// may fail, no cast of the column's new type may run with the recorder's rights, and no subscriber may miss a change: the
// log names the true values, or none, and then everyone subscribed to a scope is told.

let writer: pg.Client;

const TYPES = `
  create domain small as int; create domain label as text; create type mood as enum ('good', 'x'); create type other_mood as enum ('x', 'y');
  create type sly as (v int);
  create function sly_text(sly) returns text immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create function sly_int(sly) returns int immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create function sly_json(sly) returns json immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create cast (sly as text) with function sly_text(sly) as implicit;
  create cast (sly as int) with function sly_int(sly) as implicit;
  create cast (sly as json) with function sly_json(sly);
  create type mute;
  create function mute_in(cstring) returns mute immutable strict language internal as 'int4in';
  create function mute_out(mute) returns cstring immutable strict language internal as 'shell_out';
  create type mute (input = mute_in, output = mute_out, internallength = 4, passedbyvalue, alignment = int4)`;

const to = (type: string, value: string) =>
  `alter table t alter s drop default; alter table t alter s type ${type} using ${value}; alter table t alter s set default ${value}`;
const again = (definition: string) => `alter table t drop s; alter table t add s ${definition}`;
const UNKNOWN = undefined;

/** The column, what is done to it, and the scope's value in the log then: UNKNOWN, or null where the row is nobody's. */
const CHANGES: readonly [string, string, string | null | undefined][] = [
  ['int default 7', 'select 1', '7'],
  ['int default 7', 'alter table t drop s', UNKNOWN],
  ['int default 7', 'alter table t rename s to renamed', UNKNOWN],
  ['int default 7', again('int'), null],
  ['int default 7', again(`text default 'x'`), UNKNOWN],
  ['int default 7', again('int generated always as (n * 2) virtual'), UNKNOWN],
  ['int default 7', to('bigint', '7'), UNKNOWN],
  ['int default 7', to('small', '7'), '7'],
  ['int default 7', to('numeric', '7.0'), UNKNOWN],
  ['int default 7', to('sly', 'row(7)::sly'), UNKNOWN],
  ['int default 7', to('mute', `'7'`), UNKNOWN],
  ['small default 7', 'select 1', '7'],
  ['small default 7', to('int', '7'), '7'],
  ['small default 7', to('sly', 'row(7)::sly'), UNKNOWN],
  ['uuid default repeat($$a$$, 32)::uuid', to('text', `'x'`), UNKNOWN],
  ['bool default true', 'select 1', 'true'],
  ['bool default true', to('sly', 'row(7)::sly'), UNKNOWN],
  ['text default $$x$$', 'select 1', 'x'],
  ['text default $$x$$', to('varchar', `'x'`), UNKNOWN],
  ['text default $$x$$', to('mood', `'x'`), UNKNOWN],
  ['text default $$x$$', to('sly', 'row(7)::sly'), UNKNOWN],
  ['text default $$x$$', to('json', `'{}'`), UNKNOWN],
  ['label default $$x$$', to('sly', 'row(7)::sly'), UNKNOWN],
  ['label default $$x$$', to('mute', `'7'`), UNKNOWN],
  ['mood default $$x$$', 'select 1', 'x'],
  ['mood default $$x$$', to('other_mood', `'x'`), 'x'],
  ['mood default $$x$$', to('sly', 'row(7)::sly'), UNKNOWN],
];

const WRITES = [
  'insert into t (id, n) values (11, 1)',
  'insert into t (id, n) values (12, 1), (13, 1)',
  'update t set n = n + 1 where id = 11',
  'update t set n = n + 1',
  'update t set id = 20 where id = 11',
  'insert into t (id, n) select generate_series(100, 250), 1',
  'delete from t where id = 12',
  'delete from t',
];

const database = useWatchedDatabase(TYPES);

beforeAll(async () => {
  writer = await database.session();
});

afterEach(async () => {
  for (const session of [database.psql, writer]) await session.query('rollback');
});

/** Runs the writes in an open transaction. @returns for each the value of the scope in the log; several are a fault. */
async function scopeValues(session: pg.Client): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const write of WRITES) {
    await session.query(write);
    const { rows } = await session.query(`select details[5]::json -> 's' as values, count(*) over ()::int as recorded
      from change_feed.change where xid = pg_current_xact_id() order by lsn desc limit 1`);
    expect(rows[0]?.recorded).toBe(found.length + 1);
    const { values } = rows[0];
    const texts = values === null ? [UNKNOWN] : Array.isArray(values) ? values : Object.keys(values);
    found.push(texts.length === 0 ? null : texts.length === 1 ? texts[0] : texts);
  }
  return found;
}

describe.each([true, false])('with keys: %s', (keys) => {
  test.each(CHANGES)('%s; %s', async (column, change, expected) => {
    if (change.includes('virtual') && database.version < 18) return;
    await database.psql.query(`drop table if exists t; create table t (id int primary key, n int, s ${column});
      select change_feed.watch('t', keys => ${keys}, scopes => '{s,s&n}')`);
    const before = CHANGES.find(([same, nothing]) => same === column && nothing === 'select 1')?.[2];
    await writer.query('begin'); // its plans are made before the change
    const first = await scopeValues(writer);
    if (before !== undefined) expect(new Set(first)).toEqual(new Set([before]));
    await writer.query('rollback');
    await database.psql.query(change);
    await writer.query('begin');
    expect(await scopeValues(writer)).toEqual(WRITES.map(() => expected));
  });
});
