import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { runAsAdmin } from '../test-database.js';
import { change, createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

// Whatever takes the log away from its recorders: watch() refuses, and repair() gives it back.

const ROLE = `other_owner_${process.pid}`;
let database: WatchedDatabase;

beforeAll(() => runAsAdmin(`create role ${ROLE}`));
afterAll(() => runAsAdmin(`drop role ${ROLE}`));

beforeEach(async () => {
  database = await createWatchedDatabase();
  await database.psql.query(`create table t (id int primary key); select change_feed.watch('t')`);
});
afterEach(() => database.drop());

test.each<[string, string, string]>([
  ['another owner of the log', `alter table change_feed.change owner to ${ROLE}`, `change belongs to ${ROLE}`],
  [
    'another owner of a sequence',
    `alter sequence change_feed.leader_idle owner to ${ROLE}`,
    `leader_idle belongs to ${ROLE}`,
  ],
  ['another owner of a view', `alter view change_feed.open_writer owner to ${ROLE}`, `open_writer belongs to ${ROLE}`],
  [
    'another owner of a recorder',
    `alter function change_feed.record_t_insert() owner to ${ROLE}`,
    `belongs to ${ROLE}`,
  ],
  ['another owner of the schema', `alter schema change_feed owner to ${ROLE}`, `schema change_feed belongs to ${ROLE}`],
  ['REASSIGN OWNED', `reassign owned by change_feed_owner to ${ROLE}`, `belongs to ${ROLE}`],
  [
    'no right on the log',
    'revoke insert on change_feed.change from change_feed_owner',
    'has lost a right on the table',
  ],
  [
    'no right on any table',
    'revoke all on all tables in schema change_feed from change_feed_owner',
    'has lost a right',
  ],
  [
    'no right on a sequence',
    'revoke usage, select on sequence change_feed.leader_idle from change_feed_owner',
    'has lost a right on the sequence',
  ],
  ['no right on the schema', 'revoke all on schema change_feed from change_feed_owner', 'a right on the schema'],
  [
    'no right on functions',
    'revoke execute on all functions in schema change_feed from change_feed_owner',
    'a right on the routine',
  ],
  [
    "a recorder with the writer's rights",
    'alter function change_feed.record_t_insert() security invoker',
    'rights of the writer',
  ],
  ['a CHECK on the log', `alter table change_feed.change add check (resource <> 't') not valid`, 'the constraint'],
  ['a unique constraint', 'alter table change_feed.change add unique (resource, details)', 'the constraint'],
  [
    'a foreign key',
    'alter table change_feed.change add foreign key (resource) references name not valid',
    'the constraint',
  ],
  ['NOT NULL', 'alter table change_feed.change alter keys set not null', 'NOT NULL on keys'],
  [
    'a column whose default fails',
    'alter table change_feed.change add extra int, alter extra set default 1/0',
    'the column extra',
  ],
  [
    'a column that is generated',
    'alter table change_feed.change add extra int generated always as identity',
    'the column extra',
  ],
  [
    'a trigger on the log',
    `create function boom() returns trigger language plpgsql as 'begin raise exception $$boom$$; end';
      create trigger boom before insert on change_feed.change for each row execute function boom()`,
    'the trigger boom',
  ],
  ['a rule on the log', 'create rule lost as on insert to change_feed.change do instead nothing', 'the rule lost'],
  ['a unique index', 'create unique index once on change_feed.change (resource, details)', 'the index once'],
  ['an index that computes', 'create index computed on change_feed.change ((1 / length(keys)))', 'the index computed'],
])('%s: no write fails, watch() refuses with the cure, and repair() mends it', async (_name, breakIt, fault) => {
  const { psql, watch, recorded, session } = database;
  await psql.query(
    `insert into t values (20); create table name (name text primary key); insert into name values ('t')`,
  );
  const { rows: epoch } = await psql.query('select change_feed.ensure_epoch() as id');
  await psql.query(breakIt);
  // Neither in a session that has written before nor in a new one. What is not recorded ends the epoch.
  if (fault !== 'a right on the routine') {
    for (const writer of [psql, await session()]) {
      await writer.query('insert into t values (10) on conflict do nothing');
      await writer.query('update t set id = id where true');
    }
  }
  await psql.query('create table u (id int primary key)');
  await expect(watch('u')).rejects.toMatchObject({
    message: expect.stringMatching(new RegExp(`^changes cannot be recorded: .*${fault}`)),
    hint: 'As its owner, or as a superuser: select change_feed.repair()',
  });
  const { rows } = await psql.query('select change_feed.repair() as said');
  expect(rows[0].said).toMatch(/^repaired \d+$/);
  expect((await psql.query('select * from change_feed.owner_fault')).rows).toEqual([]);
  expect((await psql.query('select change_feed.repair() as said')).rows).toEqual([{ said: 'nothing to repair' }]);
  expect((await psql.query('select change_feed.ensure_epoch() as id')).rows).not.toEqual(epoch);
  expect(await recorded('insert into t values (1)')).toEqual([change('t', 'insert', [1])]);
  await watch('u');
  expect(await recorded('insert into u values (1)')).toEqual([change('u', 'insert', [1])]);
});

test('who may not repair is told so in a sentence', async () => {
  const { psql } = database;
  await psql.query(`alter table change_feed.change owner to ${ROLE}`);
  const member = `member_${process.pid}`;
  await psql.query(`create role ${member} in role change_feed_owner; set role ${member}`);
  await expect(psql.query('select change_feed.repair()')).rejects.toMatchObject({
    message: `the table change_feed.change belongs to ${ROLE}, not to change_feed_owner, and ${member} may not change that`,
    hint: 'As its owner, or as a superuser: select change_feed.repair()',
  });
  await psql.query(`reset role; drop role ${member}`);
});

test('what well is, repair() does not lock: it ends while a writer has written', async () => {
  const { psql, session } = database;
  const writer = await session();
  await writer.query('begin; insert into t values (1)');
  expect((await psql.query('select change_feed.repair() as said')).rows).toEqual([{ said: 'nothing to repair' }]);
  await writer.query('commit');
});
