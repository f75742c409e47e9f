import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type pg from 'pg';
import type { LoggedChange } from '../../../src/change.js';
import { ChangeLog } from '../../../src/feed/log/change-log.js';
import { type AgedChange, withoutUncertainOrder } from '../../../src/feed/log/uncertain-order.js';
import { mergeChanges } from '../../../src/streams/merge.js';
import { createWatchedDatabase, type WatchedDatabase } from '../../watched-database.js';

let database: WatchedDatabase;
let psql: pg.Client;
let log: ChangeLog;

beforeAll(async () => {
  database = await createWatchedDatabase();
  ({ psql } = database);
  log = new ChangeLog(database.url, () => {});
});

afterAll(async () => {
  await log.close();
  await database.drop();
});

beforeEach(async () => {
  await psql.query(`drop table if exists t, deferred cascade; drop function if exists f, g cascade;
    create table t (id int primary key, n int); insert into t values (10, 0);
    create table deferred (id int primary key deferrable initially deferred); insert into deferred values (1);
    select change_feed.watch('t'), change_feed.watch('deferred')`);
});

/** What readers are told of these statements, in their order. */
async function told(statements: string | (() => Promise<unknown>)): Promise<readonly LoggedChange[]> {
  const start = await log.begin();
  await (typeof statements === 'string' ? psql.query(statements) : statements());
  return (await log.replay(start)).changes;
}

const short = (changes: readonly LoggedChange[]) =>
  changes.map(({ resource, operation, keys }) => [resource, operation ?? '-', ...(keys ?? ['all'])].join(' '));

/** Fails where the last that was told of a key says that it is gone and it is there, or that it was made and it is not. */
async function expectTruth(changes: readonly LoggedChange[], table: string): Promise<void> {
  const { rows } = await psql.query(`select id from ${table}`);
  const present = new Set(rows.map(({ id }) => id));
  const last = new Map<unknown, string | undefined>();
  for (const { resource, operation, keys = [] } of changes) {
    if (resource !== table) continue;
    for (const key of keys) {
      // An insertion that is told after an update of the same row
      expect([last.get(key), operation]).not.toEqual(['update', 'insert']);
      last.set(key, operation);
    }
  }
  for (const [key, operation] of last) {
    if (operation === 'delete') expect(present).not.toContain(key);
    if (operation === 'insert') expect(present).toContain(key);
  }
}

const rowTrigger = (when: string, body: string) =>
  `create function f() returns trigger language plpgsql as $$ begin ${body} return coalesce(new, old); end $$;
   create trigger f ${when} on t for each row execute function f()`;

test.each<[string, string, string, string[]]>([
  [
    'an AFTER trigger that deletes the row',
    rowTrigger('after insert', 'delete from t where id = new.id;'),
    'insert into t values (1)',
    ['t - 1'],
  ],
  [
    'an AFTER trigger that updates the row',
    rowTrigger('after insert', 'update t set n = 1 where id = new.id;'),
    'insert into t values (1)',
    ['t - 1'],
  ],
  [
    'an AFTER trigger that puts the row back',
    rowTrigger('after delete', 'insert into t values (old.id, 1);'),
    'delete from t',
    ['t - 10'],
  ],
  [
    'an AFTER trigger that deletes one of several rows',
    rowTrigger('after insert', 'if new.id = 1 then delete from t where id = 1; end if;'),
    'insert into t values (1), (2)',
    ['t insert 2', 't - 1'],
  ],
  [
    'an AFTER STATEMENT trigger that deletes the rows',
    `create function f() returns trigger language plpgsql as $$ begin delete from t where id = 1; return null; end $$;
      create trigger a_first after insert on t for each statement execute function f()`,
    'insert into t values (1), (2)',
    ['t insert 2', 't - 1'],
  ],
  [
    'a BEFORE trigger that makes room',
    rowTrigger('before insert', 'delete from t where id = new.id;'),
    'insert into t values (10, 1)',
    ['t - 10'],
  ],
  [
    'a CTE that deletes and inserts the key',
    '',
    'with d as (delete from t where id = 10 returning id) insert into t select id from d limit 1',
    ['t - 10'],
  ],
  [
    'a CTE that inserts, and a deletion',
    '',
    'with i as (insert into t values (1) returning id) delete from t where id = 10',
    ['t delete 10', 't insert 1'],
  ],
  [
    'a function in RETURNING that deletes the row',
    'create function g(int) returns int language plpgsql as $$ begin delete from t where id = $1; return 1; end $$',
    'insert into t values (1) returning g(id)',
    ['t - 1'],
  ],
  [
    'a function in the query that deletes the row before it is inserted again',
    'create function g() returns setof int language plpgsql as $$ begin delete from t where id = 10; return next 10; end $$',
    'insert into t select * from g()',
    ['t - 10'],
  ],
  [
    'a rule',
    `create rule again as on delete to t do also insert into t values (old.id + 1, 0)`,
    'delete from t where id = 10',
    [],
  ],
  [
    'a trigger of another table that writes both',
    `create table other (id int); create function f() returns trigger language plpgsql as $$ begin
      insert into t values (1); delete from t where id = 1; return null; end $$;
      create trigger f after insert on other for each row execute function f()`,
    'insert into other values (1); drop table other',
    ['t - 1'],
  ],
  [
    'more rows than are named',
    rowTrigger('after insert', 'if new.id = 150 then delete from t where id = 10; end if;'),
    'insert into t select generate_series(100, 250)',
    ['t - 10', 't - all'],
  ],
  [
    'a savepoint that is rolled back',
    '',
    'begin; savepoint a; delete from t; rollback to a; update t set n = 1; commit',
    ['t update 10'],
  ],
  [
    'an upsert of two rows',
    '',
    'insert into t values (1), (10) on conflict (id) do update set n = 2',
    ['t update 10', 't insert 1'],
  ],
  [
    'rows that are written once',
    '',
    'begin; insert into t values (1); update t set n = 1 where id = 10; insert into t values (2); commit',
    ['t insert 1', 't update 10', 't insert 2'],
  ],
  ['two tables', '', 'begin; insert into t values (1); delete from deferred; commit', ['t insert 1', 'deferred - 1']],
  ['TRUNCATE and rows again', '', 'begin; truncate t; insert into t values (1); commit', ['t - all', 't - 1']],
  [
    "an application's own event of the name",
    '',
    `begin; insert into t values (1); select change_feed.emit('t'); commit`,
    ['t insert 1', 't emit all'],
  ],
])('%s', async (name, setUp, write, expected) => {
  if (setUp) await psql.query(setUp);
  const changes = await told(write);
  if (name !== 'a rule') expect(short(changes)).toEqual(expected);
  await expectTruth(changes, 't');
  await expectTruth(mergeChanges(changes), 't');
});

test('MERGE that deletes a row and inserts its key', async () => {
  if (database.version < 15) return;
  const changes = await told(`merge into t using (values (10, 1), (10, 2)) s (id, place) on t.id = s.id and s.place = 1
    when matched then delete when not matched then insert values (s.id, s.place)`);
  expect(short(changes)).toEqual(['t - 10']);
  await expectTruth(changes, 't');
});

describe('a deferrable key', () => {
  test('that one session inserts while another deletes the old row is not told as deleted', async () => {
    const other = await database.session();
    const changes = await told(async () => {
      await other.query('begin; insert into deferred values (1)');
      await psql.query('begin; delete from deferred; commit');
      await other.query('commit');
    });
    expect(short(changes)).toEqual(['deferred insert 1', 'deferred - 1']);
    await expectTruth(changes, 'deferred');
  });

  test.each(['delete from deferred', 'delete from deferred where id = 1'])('%s is told as a change', async (write) => {
    expect(short(await told(`insert into deferred values (2); commit; ${write}`))).toContainEqual(
      expect.stringMatching(/^deferred - /),
    );
    expect(await told('delete from deferred')).not.toContainEqual(expect.objectContaining({ operation: 'delete' }));
  });
});

test('who wrote is told where all that the transaction did there is theirs', async () => {
  const write = (
    second: string,
  ) => `begin; set local change_feed.actor = 'ada'; truncate t; insert into t values (1); ${second};
    delete from t where id = 1; commit`;
  expect(await told(write('select 1'))).toMatchObject([{ resource: 't' }, { keys: [1], origin: { actor: 'ada' } }]);
  const [, change] = await told(write(`set local change_feed.actor = 'bob'`));
  expect(change).toEqual({ resource: 't', keys: [1], keysText: '[1]', xid: expect.any(BigInt) });
});

describe.each([false, true])('statements that follow each other keep their operations, writers ring: %s', (ring) => {
  beforeEach(() => psql.query(ring ? 'select change_feed.begin_idle()' : 'select change_feed.end_idle()'));
  afterEach(() => psql.query('select change_feed.end_idle()'));

  test.each<[string, string[]]>([
    ['insert into t values (1); delete from t where id = 1', ['t insert 1', 't delete 1']],
    [
      'insert into t values (1); update t set n = 1 where id = 1; select count(*) from t; delete from t where id = 1; insert into t values (1)',
      ['t insert 1', 't update 1', 't delete 1', 't insert 1'],
    ],
    ['savepoint a; insert into t values (1); release a; delete from t where id = 1', ['t insert 1', 't delete 1']],
  ])('%s', async (statements, expected) => {
    expect(short(await told(`begin; ${statements}; commit`))).toEqual(expected);
  });

  test('a CTE that deletes and inserts the key has none', async () => {
    const write = 'with d as (delete from t where id = 10 returning id) insert into t select id from d limit 1';
    expect(short(await told(write))).toEqual(['t - 10']);
    expect(short(await told(`begin; insert into t values (1); ${write}; commit`))).toEqual(['t insert 1', 't - 10']);
  });

  test('a trigger that deletes the row has none, after a statement that has', async () => {
    await psql.query(rowTrigger('after insert', 'delete from t where id = new.id;'));
    expect(short(await told('begin; update t set n = 1; insert into t values (1); commit'))).toEqual([
      't update 10',
      't - 1',
    ]);
  });
});

const changeOf = fc.record({
  xid: fc.constantFrom(1n, 2n, undefined),
  resource: fc.constantFrom('a', 'b'),
  operation: fc.constantFrom('insert', 'update', 'delete', 'truncate', 'emit', undefined),
  keys: fc.option(fc.array(fc.constantFrom(1, 'x', [1, 2]), { minLength: 1, maxLength: 3 }), { nil: undefined }),
});

test('of any changes no key is lost, and none keeps two operations of one transaction', () => {
  const kinds = (changes: readonly LoggedChange[], change: LoggedChange, key: string | undefined) =>
    new Set(
      changes
        .filter(
          ({ xid, resource, operation }) => xid === change.xid && resource === change.resource && operation !== 'emit',
        )
        .filter(({ keys }) => !keys || key === undefined || keys.some((k) => JSON.stringify(k) === key))
        .map(({ operation }) => operation),
    );
  fc.assert(
    fc.property(fc.array(changeOf, { maxLength: 12 }), (generated) => {
      const changes = generated
        .map((change) => JSON.parse(JSON.stringify({ ...change, xid: undefined })) as LoggedChange)
        .map((change, i) => {
          const xid = generated[i]?.xid;
          return xid === undefined ? change : { ...change, xid };
        });
      const after = withoutUncertainOrder(
        changes.map((change): AgedChange => ({ change, ageMs: 0, command: 100, rang: false })),
      ).map(({ change }) => change);
      for (const change of changes) {
        for (const key of change.keys?.map((k) => JSON.stringify(k)) ?? [undefined]) {
          const known = kinds(changes, change, key).size < 2 || change.xid === undefined || change.operation === 'emit';
          expect(
            after.some(
              ({ xid, resource, operation, keys }) =>
                xid === change.xid &&
                resource === change.resource &&
                operation === (known ? change.operation : undefined) &&
                (key === undefined ? !keys : keys?.some((k) => JSON.stringify(k) === key)),
            ),
          ).toBe(true);
        }
      }
      for (const change of after) {
        if (change.xid === undefined || change.operation === 'emit') continue;
        const named = after.filter(({ keys }) => keys);
        for (const key of change.keys ?? []) expect(kinds(named, change, JSON.stringify(key)).size).toBe(1);
      }
    }),
  );
});
