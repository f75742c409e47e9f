import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { useWatchedDatabase } from '../watched-database.js';

// A table is watched, its key is changed, and it is written to without another watch(): no write may fail, and each is
// recorded, with keys or without.

let writer: pg.Client;

const TYPES = `
  create domain positive as int check (value > 0); create type mood as enum ('good', 'bad'); create type pair as (a int, b text);
  -- a type whose cast to text, and to json, nobody but its owner may call
  create type guarded as (v int);
  create function guarded_text(guarded) returns text immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create function guarded_json(guarded) returns json immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create cast (guarded as text) with function guarded_text(guarded) as implicit;
  create cast (guarded as json) with function guarded_json(guarded);
  revoke execute on function guarded_text(guarded), guarded_json(guarded) from public;
  -- one whose cast to int is implicit, and fails
  create type sly as (v int);
  create function sly_int(sly) returns int immutable language plpgsql as $$ begin raise 'the cast was called'; end $$;
  create cast (sly as int) with function sly_int(sly) as implicit;
  -- one that cannot be printed
  create type mute;
  create function mute_in(cstring) returns mute immutable strict language internal as 'int4in';
  create function mute_out(mute) returns cstring immutable strict language internal as 'shell_out';
  create type mute (input = mute_in, output = mute_out, internallength = 4, passedbyvalue, alignment = int4);
  -- what a writer's search_path might put in the way
  create schema evil;
  create function evil.raises(anyelement, anyelement) returns bool immutable language plpgsql as $$ begin raise 'evil was called'; end $$;
  create operator evil.= (leftarg = anyelement, rightarg = anyelement, function = evil.raises);
  create function evil.type_of(anyelement) returns oid language plpgsql as $$ begin raise 'evil was called'; end $$;
  create function evil.format(text, anyelement) returns text language plpgsql as $$ begin raise 'evil was called'; end $$;
  create function evil.id(record) returns int language plpgsql as $$ begin raise 'evil was called'; end $$;
  create function evil.k(record) returns int language plpgsql as $$ begin raise 'evil was called'; end $$;
  create domain evil.int4 as text; create domain evil.oid as text; create domain evil.name as text; create domain evil.text as int`;

/** The key's columns; `k` is the one that changes. */
const KEYS: Readonly<Record<string, string>> = {
  int: 'k int default nextval($$s$$) primary key',
  uuid: 'k uuid default gen_random_uuid() primary key',
  text: 'k text default nextval($$s$$) primary key',
  'two ints': 'k int default nextval($$s$$), other int default 1, primary key (other, k)',
  'int and enum': `k int default nextval($$s$$), other mood default 'good', primary key (k, other)`,
};

const without = 'alter table t drop constraint t_pkey; alter table t alter k drop not null, alter k drop default;';
const to = (type: string, value: string) => `${without} alter table t alter k type ${type} using ${value}`;

/** What is done to the table after it was watched. */
const CHANGES: Readonly<Record<string, string>> = {
  nothing: 'select 1',
  'drop the column': 'alter table t drop k cascade',
  'rename it': 'alter table t rename k to renamed',
  'rename it, and give another its name':
    'alter table t rename k to renamed; alter table t rename n to k; alter table t add n int',
  'add it again': 'alter table t drop k cascade; alter table t add k int default 5',
  'add it again as text': `alter table t drop k cascade; alter table t add k text default 'x'`,
  'add it again, null': 'alter table t drop k cascade; alter table t add k int',
  'add it again, generated and stored':
    'alter table t drop k cascade; alter table t add k int generated always as (n * 2) stored',
  'add it again, generated and virtual':
    'alter table t drop k cascade; alter table t add k int generated always as (n * 2) virtual',
  'add it again, virtual uuid': `alter table t drop k cascade; alter table t add k uuid generated always as (md5(n::text)::uuid) virtual`,
  text: to('text', 'k::text'),
  bigint: to('bigint', '5'),
  numeric: to('numeric', '5.50'),
  'int array': to('int[]', `'{1,2}'`),
  'a domain': to('positive', '5'),
  'an enum': to('mood', `'good'`),
  'a composite type': to('pair', `row(1, 'x')::pair`),
  'json, which has no equality': to('json', `'{}'`),
  'point, which has no order': to('point', `'(1,2)'`),
  int2vector: to('int2vector', `'1 2'`),
  'a type without an array type': to('pg_node_tree', 'null'),
  'a type whose casts are revoked': to('guarded', 'row(1)::guarded'),
  'a type with an implicit cast to int': to('sly', 'row(1)::sly'),
  'a type that cannot be printed': to('mute', `'5'`),
  'the key is another column': `${without} update t set n = nextval('s'); alter table t add primary key (n)`,
  'the key is gone, and its column null': `${without} update t set k = null`,
  'the key is deferrable':
    'alter table t drop constraint t_pkey cascade, add primary key (k) deferrable initially deferred',
  'the table is renamed': 'alter table t rename to t2; create view t as select * from t2',
  'the table is in another schema':
    'create schema elsewhere; alter table t set schema elsewhere; set search_path = elsewhere, place, public',
  'evil is searched first': 'select 1; set search_path = evil, place, public, pg_catalog',
};

const WRITES = [
  'insert into t (n) values (101)',
  'insert into t (n) values (102), (103)',
  'update t set n = 201 where n operator(pg_catalog.=) 101',
  'update t set n = n operator(pg_catalog.+) 1000',
  'delete from t where n operator(pg_catalog.=) (select min(n) from t)',
  'delete from t',
  'insert into t (n) select 301',
  'with gone as (delete from t returning n) insert into t (n) select 302 from gone',
];

const database = useWatchedDatabase(TYPES);

beforeAll(async () => {
  writer = await database.session();
});

afterEach(async () => {
  for (const session of [database.psql, writer]) await session.query('rollback');
});

/** Runs the writes in the open transaction; each is in a savepoint of its own. @returns what failed, and what recorded nothing. */
async function problems(session: pg.Client): Promise<string[]> {
  const found: string[] = [];
  const recorded = `select pg_catalog.count(*) as n from change_feed.change c
    where c.xid operator(pg_catalog.=) pg_catalog.pg_current_xact_id()`;
  for (const write of WRITES) {
    try {
      const results = await session.query(`savepoint write; ${recorded}; ${write}; ${recorded}`);
      const [, before, written, after] = results as unknown as pg.QueryResult[];
      if (written?.rowCount && after?.rows[0].n === before?.rows[0].n) found.push(`${write}: not recorded`);
    } catch (error) {
      found.push(`${write}: ${(error as Error).message}`);
      await session.query('rollback to savepoint write');
    }
  }
  return found;
}

describe.each(Object.entries(KEYS))('a key of %s', (_key, columns) => {
  test.each(Object.entries(CHANGES))('%s', async (_name, change) => {
    if (change.includes('virtual') && database.version < 18) return;
    const [ddl = '', searchPath = 'place, public'] = change.split('; set search_path = ');
    const path = `set search_path = ${searchPath}`;
    await database.psql.query(`drop schema if exists place, elsewhere cascade; create schema place; set search_path = place, public;
      create sequence s; create table t (${columns}, n int); select change_feed.watch('t'); insert into t (n) values (1), (2), (3)`);
    // Its plans are made before the change.
    await writer.query('begin; set search_path = place, public');
    expect(await problems(writer)).toEqual([]);
    await writer.query('rollback');
    // The change and the writes in one transaction
    await database.psql.query('begin');
    expect(await problems(database.psql)).toEqual([]);
    await database.psql.query(`${ddl}; ${path}`);
    expect(await problems(database.psql)).toEqual([]);
    await database.psql.query('rollback');
    await database.psql.query(ddl);
    await writer.query(`begin; ${path}`);
    expect(await problems(writer)).toEqual([]);
    const { rows } = await writer.query(`select c.keys from change_feed.change c where c.keys is not null
      and c.xid operator(pg_catalog.=) pg_catalog.pg_current_xact_id()`);
    for (const { keys } of rows) expect([JSON.parse(keys)].flat(2)).not.toContain(null);
    await writer.query('rollback');
  });
});
