import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { installChangeFeed } from '../../src/database/install.js';
import { examine } from '../../src/doctor/examine.js';
import type { Finding } from '../../src/doctor/finding.js';
import { packageRoot } from '../../src/package-root.js';
import { sqlFiles, sqlText } from '../database/sql-statements.js';
import { startPooler, stopPoolers, withPgbouncer } from '../pooler.js';
import { runProgram } from '../run-program.js';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../test-database.js';

let database: TestDatabase;
let psql: pg.Client;

beforeAll(async () => {
  database = await createTestDatabase();
  psql = new pg.Client({ connectionString: database.url });
  psql.on('error', () => {}); // dropping the database ends it
  await psql.connect();
});

// A cure with watch() records a change, and a log that no server looks after is a finding.
afterEach(async () => {
  await psql.query('truncate change_feed.change');
});

afterAll(async () => {
  await stopPoolers();
  await psql.end();
  await database.drop();
});

function doctor(args: string[] = [], env: Record<string, string> = {}) {
  return runProgram(process.execPath, [join(packageRoot, 'dist/src/cli.js'), 'doctor', ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, DATABASE_URL: database.url, ...env },
  });
}

/** As the command finds them, without what is well: a process for each would take most of the test's time. */
async function findings(
  tables: string[] = [],
  env: Record<string, string> = {},
): Promise<{ status: number; found: Finding[] }> {
  const url = env.DATABASE_URL ?? database.url;
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const all = await examine(client, { url, listenUrl: env.LISTEN_DATABASE_URL ?? url }, tables);
  await client.end();
  return {
    status: all.some(({ level }) => level === 'fail') ? 1 : 0,
    found: all.filter(({ level }) => level !== 'ok' && level !== 'info'),
  };
}

test('a clean bill for a clean database: exit code 0, and every line is ok', async () => {
  const { status, stdout, stderr } = await doctor();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines.filter((line) => !/^(ok {4}|info {2})/.test(line) && !line.startsWith('      '))).toEqual([]);
  for (const about of [
    'Postgres',
    'NOTIFY queue',
    'functions',
    'triggers',
    'owners',
    'row level security',
    'rights',
    'encoding',
    'publications',
    'log',
    'open transactions',
    'pooler',
  ]) {
    expect(stdout).toContain(`ok    ${about}: `);
  }
  expect(stdout).toContain('ok    triggers: 2 tables are well\n');
  expect(stdout).toMatch(/LISTEN and NOTIFY: a round trip takes \d+ ms/);
});

describe('finds, and says what to run: ', () => {
  test.each<[string, string, string, Partial<Finding>, string?]>([
    [
      'a trigger that is missing',
      'drop trigger change_feed_update on anmeldung',
      `select change_feed.watch('anmeldung', scopes => '{veranstaltung_id}')`,
      {
        level: 'fail',
        about: 'triggers of anmeldung',
        says: 'that for update is missing',
        cure: `select change_feed.watch('anmeldung', scopes => '{veranstaltung_id}')`,
      },
    ],
    [
      'a trigger that is disabled',
      'alter table anmeldung disable trigger change_feed_delete',
      `select change_feed.watch('anmeldung', scopes => '{veranstaltung_id}')`,
      { level: 'fail', about: 'triggers of anmeldung', says: 'that for delete is disabled, or does not fire always' },
    ],
    [
      'triggers of an older key',
      "create table alt (id int primary key); select change_feed.watch('alt'); alter table alt rename id to nummer",
      'drop table alt',
      { level: 'fail', about: 'triggers of alt', cure: `select change_feed.watch('alt')` },
    ],
    [
      'a partition that is not covered',
      `create table teil (id int primary key) partition by range (id); select change_feed.watch('teil');
        create table teil_1 partition of teil for values from (0) to (10)`,
      'drop table teil',
      { level: 'fail', about: 'triggers of teil_1', cure: `select change_feed.watch('teil')` },
    ],
    [
      'a foreign table that inherits from a table watched with keys',
      `create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
        create table heirs (id int primary key); select change_feed.watch('heirs', 'the heirs');
        create foreign table heir () inherits (heirs) server nowhere`,
      'drop table heirs cascade; drop foreign data wrapper nowhere cascade',
      {
        level: 'fail',
        about: 'triggers of heirs',
        says: 'the foreign table heir belongs to it since it was watched with keys: writes to its rows fail',
        cure: "select change_feed.watch('heirs', 'the heirs', keys => false)",
      },
    ],
    [
      'one that inherits from a table watched with scopes alone',
      `create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
        create table heirs (id int primary key, lager int); select change_feed.watch('heirs', keys => false, scopes => '{lager}');
        create foreign table heir () inherits (heirs) server nowhere`,
      `select change_feed.watch('heirs', keys => false); drop table heirs cascade; drop foreign data wrapper nowhere cascade`,
      {
        level: 'fail',
        about: 'triggers of heirs',
        says: 'the foreign table heir belongs to it since it was watched with scopes: writes to its rows fail',
        cure: "select change_feed.watch('heirs', keys => false)",
      },
    ],
    [
      'row-level notify triggers of others',
      `create function laut() returns trigger language plpgsql as $$ begin perform pg_notify('x', ''); return null; end $$;
        create trigger laut after insert on anmeldung for each row execute function laut()`,
      'drop function laut cascade',
      {
        level: 'warn',
        about: 'triggers of anmeldung',
        cure: 'drop trigger "laut" on anmeldung, once nothing listens to it',
      },
    ],
    [
      'a function that is not of this version',
      `alter function change_feed.position() rename to standort`,
      'alter function change_feed.standort() rename to position',
      { level: 'fail', about: 'functions', says: 'change_feed.position() is missing' },
    ],
    [
      'a recorder of before, of a table with another name, without keys and with a scope',
      `create table teile (id int primary key, lager int); select change_feed.watch('teile', 'parts', false, '{lager}');
        drop trigger change_feed_update on teile`,
      `select change_feed.watch('teile', 'parts', keys => false, scopes => '{lager}')`,
      {
        level: 'fail',
        about: 'triggers of teile',
        cure: `select change_feed.watch('teile', 'parts', keys => false, scopes => '{lager}')`,
      },
    ],
    [
      'a trigger of ours under a name that watch() does not make',
      `create trigger "change_feed_ınsert" after insert on anmeldung for each statement
        execute function change_feed.record_anmeldung_insert('anmeldung')`,
      'drop trigger "change_feed_ınsert" on anmeldung',
      {
        level: 'fail',
        about: 'triggers of anmeldung',
        says: 'there are others of ours: change_feed_ınsert',
        cure: 'drop trigger "change_feed_ınsert" on anmeldung;',
      },
    ],
    [
      'a table that was exchanged by a rename',
      `create table exchanged (id int primary key); select change_feed.watch('exchanged');
        create table new (like exchanged including all); alter table exchanged rename to former; alter table new rename to exchanged`,
      `select change_feed.unwatch('former'); select change_feed.watch('exchanged'); select change_feed.unwatch('exchanged');
        drop table former, exchanged`,
      {
        level: 'fail',
        about: 'triggers of exchanged',
        says: "it is not watched, and former is watched as 'exchanged': the two were exchanged by a rename",
        cure: `select change_feed.unwatch('former'); select change_feed.watch('exchanged')`,
      },
    ],
    [
      'a table that was dropped and made again',
      `create table anew (id int primary key); select change_feed.watch('anew'); drop table anew; create table anew (id int)`,
      `select change_feed.watch('anew'); select change_feed.unwatch('anew'); drop table anew`,
      {
        level: 'fail',
        about: 'triggers of anew',
        says: 'it is not watched, and a table of its name was: it was dropped and made again',
        cure: `select change_feed.watch('anew')`,
      },
    ],
    [
      'row level security on the log',
      'alter table change_feed.change enable row level security',
      'alter table change_feed.change disable row level security, no force row level security',
      {
        level: 'fail',
        about: 'row level security',
        cure: 'alter table change_feed.change disable row level security, no force row level security',
      },
    ],
    [
      'a publication that carries the log',
      'create publication doctors for table anmeldung, change_feed.change',
      'drop publication doctors',
      {
        level: 'fail',
        about: 'publications',
        says: 'the publication doctors carries change_feed.change',
        cure: 'alter publication doctors drop table change_feed.change',
      },
    ],
    [
      'a publication of all tables',
      'create publication doctors for all tables',
      'drop publication doctors',
      { level: 'fail', about: 'publications', cure: expect.stringContaining('drop publication doctors') as never },
    ],
    [
      'a right to write the log',
      'grant insert on change_feed.change to public',
      'revoke insert on change_feed.change from public',
      { level: 'warn', about: 'rights', cure: 'revoke insert on table change_feed.change from public' },
    ],
    [
      'a schema of a newer version',
      `create or replace function change_feed.schema_version() returns int language sql immutable as 'select 1000'`,
      'create or replace function change_feed.schema_version() returns int language sql immutable as $$ select 1 $$',
      {
        level: 'fail',
        about: 'schema change_feed',
        says: expect.stringContaining('is older than the schema change_feed, which is of version 1000') as never,
        cure: 'install the build that made the schema',
      },
    ],
    [
      'a log that nobody prunes',
      `select change_feed.emit('x'); delete from change_feed.tick`,
      'truncate change_feed.change',
      { level: 'warn', about: 'log', cure: 'run a server: pg-change-feed serve' },
    ],
  ])('%s', async (_name, breakIt, mendIt, finding) => {
    await psql.query(breakIt);
    const { status, found } = await findings();
    await psql.query(mendIt);
    expect(found).toContainEqual(expect.objectContaining(finding));
    expect(status).toBe(finding.level === 'fail' ? 1 : 0);
  });

  test('--json prints the findings, and the exit code is 1 where one fails', async () => {
    await psql.query('drop trigger change_feed_update on anmeldung');
    const { status, stdout } = await doctor(['--json']);
    await psql.query(`select change_feed.watch('anmeldung', scopes => '{veranstaltung_id}')`);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toContainEqual({
      level: 'fail',
      about: 'triggers of anmeldung',
      says: 'that for update is missing',
      cure: `select change_feed.watch('anmeldung', scopes => '{veranstaltung_id}')`,
    });
  });

  test('a function that somebody has changed', async () => {
    const { rows } = await psql.query(`select pg_get_functiondef('change_feed.note_tick()'::regprocedure) as text`);
    await psql.query(`create or replace function change_feed.note_tick() returns void language sql as 'select'`);
    const { status, found } = await findings();
    await psql.query(rows[0].text);
    expect(status).toBe(1);
    expect(found).toEqual([
      expect.objectContaining({ about: 'functions', says: 'change_feed.note_tick() is not that of this version' }),
    ]);
  });

  test('a table that has to be watched and is not, or is not there', async () => {
    await psql.query('create table unbeobachtet (id int)');
    expect((await findings(['anmeldung'])).found.filter(({ about }) => about.startsWith('table '))).toEqual([]);
    const { status, found } = await findings(['unbeobachtet', 'nirgends']);
    expect(status).toBe(1);
    expect(found).toEqual(
      expect.arrayContaining([
        {
          level: 'fail',
          about: 'table unbeobachtet',
          says: 'it is not watched',
          cure: 'pg-change-feed watch unbeobachtet',
        },
        { level: 'fail', about: 'table nirgends', says: 'there is no such table' },
      ]),
    );
    expect((await doctor()).stdout).toContain('info  tables: not watched: unbeobachtet');
  });

  test.each([
    ['dropped', 'drop event trigger change_feed_new_table'],
    ['dropped with its function', 'drop function change_feed.watch_new_table() cascade'],
    ['disabled', 'alter event trigger change_feed_new_table disable'],
    ['for replicas only', 'alter event trigger change_feed_new_table enable replica'],
  ])('the event trigger that watches new tables, %s', async (_how, sql) => {
    await psql.query(`select change_feed.watch_all(omit => '{*}', keys => false, future => true)`);
    try {
      expect((await findings()).found).toEqual([]);
      await psql.query(sql);
      const { found } = await findings();
      expect(found).toMatchObject([{ level: 'fail', about: 'new tables', says: expect.stringContaining('gone') }]);
      await psql.query((found[0]?.cure ?? '').replace('as a superuser: ', ''));
      expect((await findings()).found).toEqual([]);
      const { rows } = await psql.query('select omit, keys from change_feed.future_rule');
      expect(rows).toEqual([{ omit: ['*'], keys: false }]);
    } finally {
      await psql.query(`select change_feed.watch_all(omit => '{*}', future => false)`);
    }
  });

  test('everything that keeps a recorder from the log, and repairs it', async () => {
    await psql.query('alter table change_feed.change owner to current_user');
    const { status, found } = await findings();
    expect(status).toBe(1);
    expect(found).toContainEqual(
      expect.objectContaining({
        about: 'owners',
        says: expect.stringMatching(/^the table change_feed.change belongs to \w+, not to change_feed_owner/),
        cure: 'select change_feed.repair()',
      }),
    );
    await psql.query('select change_feed.repair()');
    expect((await findings()).found).toEqual([]);
  });

  test('a role that lacks what the server needs, whoever looks', async () => {
    const [server, half] = [`doctors_server_${process.pid}`, `doctors_half_${process.pid}`];
    await psql.query(readFileSync(join(packageRoot, 'sql/roles/server.sql'), 'utf8'));
    await psql.query(`create role ${server} login password '${server}' in role change_feed_server;
      create role ${half} login password '${half}'; grant usage on schema change_feed to ${half}`);
    const as = (user: string) => Object.assign(new URL(database.url), { username: user, password: user }).href;

    const well = await doctor([], { DATABASE_URL: as(server) });
    expect({ status: well.status, stderr: well.stderr }).toEqual({ status: 0, stderr: '' });
    expect(well.stdout).toContain(
      `info  triggers: can't be looked at as ${server}: permission denied for function recorder_source`,
    );
    expect(well.stdout).toContain(`ok    rights: ${server} has those that the server needs`);

    expect(await findings([], { DATABASE_URL: as(half) })).toMatchObject({
      status: 1,
      found: [
        {
          about: 'rights',
          says: expect.stringContaining(`${half} lacks what the server needs: `),
          cure: `apply sql/roles/server.sql, then: grant change_feed_server to "${half}"`,
        },
      ],
    });
    await psql.query('revoke execute on function change_feed.take_calls(text) from change_feed_server');
    const { status, found } = await findings();
    expect(status).toBe(1);
    expect(found).toEqual([
      {
        level: 'fail',
        about: 'rights',
        says: 'change_feed_server lacks what the server needs: execute on change_feed.take_calls(text)',
        cure: 'apply sql/roles/server.sql again',
      },
    ]);
    await psql.query(`revoke all on schema change_feed from ${half}, change_feed_server; drop role ${server}, ${half}`);
  });

  test.each<[string, string, unknown]>([
    ['empty', 'create schema change_feed', 'the database does not have it'],
    [
      "somebody else's",
      'create schema change_feed; create table change_feed.own (n int)',
      'the schema change_feed of this database was not made by pg-change-feed',
    ],
    [
      'half there',
      sqlFiles.slice(0, 3).map(sqlText).join('\n'),
      expect.stringMatching(
        /^the schema change_feed was applied in part, change_feed.trigger_argument and \d+ more are missing$/,
      ),
    ],
  ])('a schema that is %s', async (_name, make, says) => {
    const other = await createTestDatabase();
    const client = new pg.Client({ connectionString: other.url });
    await client.connect();
    await client.query(`drop schema change_feed cascade; ${make}`);
    const { status, found } = await findings([], { DATABASE_URL: other.url });
    await client.end();
    await other.drop();
    expect(status).toBe(1);
    expect(found[0]).toMatchObject({ level: 'fail', about: 'schema change_feed', says });
  });

  test('an encoding in which a text may be no UTF-8, and a locale in which I is another letter', async () => {
    const name = `doctors_${process.pid}`;
    const looked = async (options: string) => {
      await psql.query(`create database ${name} template template0 ${options}`);
      const url = databaseUrl(name);
      const db = createDatabase(url);
      await installChangeFeed(db);
      await db.destroy();
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const found = await examine(client, { url, listenUrl: url }, []);
      await client.end();
      await psql.query(`drop database ${name} with (force)`);
      return found;
    };
    const { rows } = await psql.query(`select current_setting('server_version_num')::int >= 150000 as icu`);
    const ascii = await looked(`encoding 'SQL_ASCII' locale 'C' ${rows[0].icu ? 'locale_provider libc' : ''}`);
    expect(ascii.filter(({ level }) => level === 'fail')).toEqual([
      {
        level: 'fail',
        about: 'encoding',
        says: expect.stringContaining('SQL_ASCII'),
        cure: expect.stringContaining(`encoding 'UTF8' template template0`),
      },
    ]);
    if (!rows[0].icu) return;
    const turkish = await looked(`encoding 'UTF8' locale 'C' locale_provider icu icu_locale 'tr-TR'`);
    expect(turkish.filter(({ level }) => level === 'fail')).toEqual([]);
    expect(turkish).toContainEqual(expect.objectContaining({ level: 'info', about: 'locale' }));
  });

  test('the schema that is missing', async () => {
    const name = `leer_${process.pid}`;
    await psql.query(`create database ${name}`);
    const { status, found } = await findings([], { DATABASE_URL: databaseUrl(name) });
    await psql.query(`drop database ${name} with (force)`);
    expect(status).toBe(1);
    expect(found).toEqual([
      {
        level: 'fail',
        about: 'schema change_feed',
        says: 'the database does not have it',
        cure: 'pg-change-feed migrate',
      },
    ]);
  });

  withPgbouncer.each(['session', 'transaction'] as const)(
    'a pooler in %s mode, and none once the direct address is named',
    async (mode) => {
      const url = await startPooler(database.url, mode, 'ignore_startup_parameters = options');
      const { status, found } = await findings([], { DATABASE_URL: url });
      expect(status).toBe(1);
      expect(found).toContainEqual(
        expect.objectContaining({
          level: 'fail',
          about: 'pooler',
          cure: expect.stringContaining('LISTEN_DATABASE_URL'),
        }),
      );
      const past = await findings([], { DATABASE_URL: url, LISTEN_DATABASE_URL: database.url });
      expect(past.found.filter(({ about }) => about === 'pooler' || about === 'LISTEN and NOTIFY')).toEqual([]);
    },
  );

  test('a NOTIFY that goes elsewhere', async () => {
    const other = await createTestDatabase();
    const { status, found } = await findings([], { LISTEN_DATABASE_URL: other.url });
    await other.drop();
    expect(status).toBe(1);
    expect(found).toContainEqual(
      expect.objectContaining({ about: 'LISTEN and NOTIFY', says: expect.stringContaining('not heard within 3 s') }),
    );
  });
});

test("what can't be looked at is a sentence, with no stack and no password", async () => {
  const nowhere = await doctor([], { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' });
  expect(nowhere.status).toBe(1);
  expect(nowhere.stderr).toMatch(
    /^The database postgres:\/\/nobody@127\.0\.0\.1:1\/none can't be used: nothing listens there/,
  );
  const misused = await doctor(['--jsn']);
  expect(misused.status).toBe(2);
  for (const { stderr } of [nowhere, misused]) expect(stderr).not.toMatch(/\n {4}at |secret/);
});
