import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { installChangeFeed } from '../../src/database/install.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { sqlFiles, sqlText, statementsOf } from './sql-statements.js';

const name = `plain_${process.pid}`;
const roles = ['plain_member', 'plain_creator', 'plain_stranger'];
let admin: pg.Client;

async function connect(user?: string): Promise<pg.Client> {
  const url = new URL(databaseUrl(name));
  if (user) {
    url.username = user;
    url.password = user;
  }
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {}); // dropping the database ends it
  await client.connect();
  return client;
}

beforeAll(async () => {
  for (const role of roles) await runAsAdmin(`drop role if exists ${role}`);
  await runAsAdmin(`create role plain_member login password 'plain_member' in role change_feed_owner`);
  await runAsAdmin(`create role plain_creator login password 'plain_creator' createrole`);
  await runAsAdmin(`create role plain_stranger login password 'plain_stranger'`);
});

beforeEach(async () => {
  await createRawDatabase(name);
  await runAsAdmin(`grant create on database ${name} to ${roles.join(', ')}`);
  admin = await connect();
  await admin.query('grant create on schema public to public');
});

afterEach(async () => {
  await admin.end();
  await runAsAdmin(`drop database ${name} with (force)`);
});

afterAll(async () => {
  for (const role of roles) await runAsAdmin(`drop role ${role}`);
});

/** Ways to apply the files, each as tools do it. */
const ways = {
  'statement by statement': async (client: pg.Client) => {
    for (const file of sqlFiles) for (const statement of statementsOf(sqlText(file))) await client.query(statement);
  },
  'file by file': async (client: pg.Client) => {
    for (const file of sqlFiles) await client.query(sqlText(file));
  },
  'in one transaction': async (client: pg.Client) => {
    await client.query('begin');
    for (const file of sqlFiles) for (const statement of statementsOf(sqlText(file))) await client.query(statement);
    await client.query('commit');
  },
  'as one query': (client: pg.Client) => client.query(sqlFiles.map(sqlText).join('\n')),
} as const;

/** Owners of the schema and of everything in it. */
const OWNERS = `select distinct pg_get_userbyid(owner) as owner from (
  select nspowner as owner from pg_namespace where nspname = 'change_feed'
  union select relowner from pg_class where relnamespace = 'change_feed'::regnamespace
  union select proowner from pg_proc where pronamespace = 'change_feed'::regnamespace
  union select typowner from pg_type where typnamespace = 'change_feed'::regnamespace) o`;

describe.each(Object.entries(ways))('plain SQL, %s', (_way, apply) => {
  test.each([undefined, 'plain_member'])('works as the user %s, and keeps what the session has set', async (user) => {
    const client = await connect(user);
    await client.query(`set search_path = ''; set lock_timeout = '7s'; set statement_timeout = '70s'`);
    await apply(client);
    const { rows } = await client.query(`select current_setting('search_path') as path, current_setting('role') as role,
      current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`);
    expect(rows).toEqual([{ path: '""', role: 'none', lock: '7s', statement: '70s' }]);
    expect((await admin.query(OWNERS)).rows).toEqual([{ owner: 'change_feed_owner' }]);
    expect((await admin.query('select * from change_feed.owner_fault')).rows).toEqual([]);
    await client.query(`create table public.t2 (id int primary key); select change_feed.watch('public.t2')`);
    await client.query('insert into public.t2 values (7)');
    expect((await admin.query('select resource, keys from change_feed.change')).rows).toEqual([
      { resource: 't2', keys: '[7]' },
    ]);
    await client.end();
  });

  test("keeps the caller's own SET ROLE, and makes that role the member", async () => {
    await admin.query('grant plain_member to plain_stranger');
    const client = await connect('plain_stranger');
    await client.query('set role plain_member');
    await apply(client);
    expect((await client.query('select current_user as now')).rows).toEqual([{ now: 'plain_member' }]);
    expect((await admin.query(OWNERS)).rows).toEqual([{ owner: 'change_feed_owner' }]);
    await client.end();
    await admin.query('revoke plain_member from plain_stranger');
  });
});

test('the migrations find what plain SQL has applied, and apply nothing twice', async () => {
  await ways['statement by statement'](admin);
  const pool = new pg.Pool({ connectionString: databaseUrl(name) });
  pool.on('error', () => {}); // dropping the database may end a connection that the pool is closing
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  expect(await installChangeFeed(db)).toEqual([]);
  await db.destroy();
});

test('applied twice by mistake, each statement fails, a sentence says why, and the feed goes on', async () => {
  await ways['file by file'](admin);
  await admin.query(`create table t (id int primary key); select change_feed.watch('t')`);
  await expect(ways['in one transaction'](admin)).rejects.toThrow('the database has a schema change_feed already');
  await admin.query('rollback');
  const failures: string[] = [];
  for (const file of sqlFiles) {
    for (const statement of statementsOf(sqlText(file))) {
      await admin.query(statement).catch(({ message }) => failures.push(message));
    }
  }
  expect(failures).toContain('001-log.sql has been applied already, wholly or in part');
  await admin.query('insert into t values (1)');
  expect((await admin.query('select keys from change_feed.change')).rows).toEqual([{ keys: '[1]' }]);
  expect((await admin.query('select * from change_feed.owner_fault')).rows).toEqual([]);
});

test.each(Object.entries(ways))('who may not have the role is told so, and makes nothing: %s', async (_way, apply) => {
  const client = await connect('plain_stranger');
  await expect(apply(client)).rejects.toMatchObject({
    message: 'plain_stranger may not make the role change_feed_owner, or is no member of it',
    hint: expect.stringContaining(
      'As a superuser: create role change_feed_owner; grant change_feed_owner to plain_stranger',
    ),
  });
  await client.end();
  expect((await admin.query(`select from pg_namespace where nspname = 'change_feed'`)).rowCount).toBe(0);
});

test('psql without ON_ERROR_STOP goes on after the refusal, and makes nothing either', async () => {
  if (spawnSync('psql', ['--version']).status !== 0) return console.warn('Skipped: there is no psql');
  const url = new URL(databaseUrl(name));
  const psql = (user: string) => {
    url.username = user;
    url.password = user;
    return spawnSync('psql', ['-q', url.href], { input: sqlFiles.map(sqlText).join('\n'), encoding: 'utf8' });
  };
  expect(psql('plain_stranger').stderr).toContain('plain_stranger may not make the role change_feed_owner');
  expect((await admin.query(`select from pg_namespace where nspname = 'change_feed'`)).rowCount).toBe(0);
  expect(psql('plain_member')).toMatchObject({ stdout: '', stderr: '', status: 0 });
  expect((await admin.query(OWNERS)).rows).toEqual([{ owner: 'change_feed_owner' }]);
});

test.each([...sqlFiles, 'roles/server.sql'])('%s holds nothing that a runner of SQL takes for its own', (file) => {
  const text = sqlText(file);
  const outside = statementsOf(text)
    .join('')
    .replaceAll(/(\$\w*\$)[\s\S]*?\1|--[^\n]*/g, '');
  expect({
    // Knex, JDBC, PDO, Sequelize
    questionMarks: text.match(/\?/g),
    // PDO, Spring, SQLAlchemy, Sequelize, psql: all but casts
    namedParameters: text.match(/(?<!:):[\w{"'[]/g),
    // Spring
    ampersands: text.match(/&\w/g),
    // Flyway, dbt, mustache
    placeholders: text.match(/\$\{|\{\{|\{%/g),
    // node-postgres, Sequelize
    numberedParameters: outside.match(/\$\d/g),
    // psql's commands, and text that depends on standard_conforming_strings
    backslashes: outside.match(/\\/g),
    // sqlcmd's separator, and Oracle's
    separators: text.match(/^\s*(go|\/)\s*$/gim),
    settings: text.match(/^\s*(set|reset|begin;|commit;|rollback;)\b/gim),
    encoding: text.match(/[^\n\x20-\x7e]/g),
  }).toEqual(
    Object.fromEntries(
      [
        'questionMarks',
        'namedParameters',
        'ampersands',
        'placeholders',
        'numberedParameters',
        'backslashes',
        'separators',
        'settings',
        'encoding',
      ].map((kind) => [kind, null]),
    ),
  );
});

test.each([...',?*', '\u0001', '\n', '\u007f', '\u0085'])('a resource with %j is refused', async (character) => {
  await ways['file by file'](admin);
  await expect(admin.query('select change_feed.check_resource($1)', [`a${character}b`])).rejects.toThrow(
    'cannot name a resource',
  );
  await admin.query('select change_feed.check_resource($1)', ['Ä ß €-^[]']);
});
