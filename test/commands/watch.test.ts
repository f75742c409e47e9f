import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { databaseUrl, runAsAdmin } from '../test-database.js';
import { createWatchedDatabase, type WatchedDatabase } from '../watched-database.js';

let database: WatchedDatabase;

beforeAll(async () => {
  database = await createWatchedDatabase();
  await database.psql.query(`create table eins (id int primary key); create table "Groß, klein" (id int primary key);
    create table "Album" (id int primary key); create schema verein; create table verein.mitglied (id int primary key);
    create table kind () inherits (eins); create view sicht as select 1 as id;
    do $$ begin create role fremd login password 'fremd'; exception when duplicate_object then null; end $$`);
});

afterAll(() => database.drop());

/** Runs a command to its end, as a user does. */
function cli(args: string[], url = database.url) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(packageRoot, 'dist/src/cli.js'), ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, DATABASE_URL: url },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

async function watched(): Promise<string[]> {
  const { rows } = await database.psql.query(`select format('%s %s %s', relation, resource, keys) as line
    from change_feed.watched_table where resource not in ('veranstaltung', 'anmeldung') order by 1`);
  return rows.map(({ line }) => line);
}

test('watch and unwatch say what they did with each table, and may be called again', async () => {
  expect(cli(['watch', 'verein.mitglied', '"Album"'])).toEqual({
    status: 0,
    stdout: `watching verein.mitglied as 'mitglied'\nwatching public."Album" as 'Album'\n`,
    stderr: '',
  });
  expect(await watched()).toEqual(['"Album" Album t', 'verein.mitglied mitglied t']);
  expect(cli(['watch', '"Album"', '--no-keys']).stdout).toBe(`watching public."Album" as 'Album'\n`);
  expect(cli(['watch', '"Album"', '--no-keys']).stdout).toBe(`already watching public."Album" as 'Album'\n`);
  expect(cli(['watch', 'verein.mitglied', '--resource', 'person']).status).toBe(0);
  expect(await watched()).toEqual(['"Album" Album f', 'verein.mitglied person t']);
  expect(cli(['unwatch', 'verein.mitglied', '"Album"', 'eins'])).toEqual({
    status: 0,
    stdout: 'no longer watching verein.mitglied\nno longer watching public."Album"\npublic.eins was not watched\n',
    stderr: '',
  });
  expect(await watched()).toEqual([]);
});

test('an inheriting table is named on stderr, and watched beside it under the same name', () => {
  expect(cli(['watch', 'eins'])).toEqual({
    status: 0,
    stdout: `watching public.eins as 'eins'\n`,
    stderr:
      'public.kind inherits from public.eins: what is written to it directly is not recorded. ' +
      `Watch it under the same name: select change_feed.watch('public.kind', 'eins')\n`,
  });
  expect(cli(['watch', 'kind', 'eins', '--resource', 'eins']).stderr).toBe('');
  expect(cli(['unwatch', 'eins', 'kind']).status).toBe(0);
});

test.each([
  [['gibtesnicht'], 'There is no table gibtesnicht.'],
  [
    ['nirgends.mitglied'],
    "There is no table nirgends.mitglied. There is verein.mitglied: in a shell, write 'verein.mitglied'.",
  ],
  [['Album'], `There is no table Album. There is public."Album": in a shell, write 'public."Album"'.`],
  [[''], '"" is not a table\'s name: invalid name syntax.'],
  [['sicht'], 'public.sicht is a view, and only tables can be watched.'],
  [['pg_class'], 'pg_class is a system table and cannot be watched.'],
  [
    ['"Groß, klein"'],
    `'Groß, klein' cannot name a resource. ` +
      `Give the table another name in the feed: select change_feed.watch('public."Groß, klein"', 'name').`,
  ],
  [
    ['eins', '--resource', '*'],
    `'*' cannot name a resource. A resource has 1 to 200 bytes, and none of , ? * or control characters.`,
  ],
])('watch eins %j says what is wrong in one line, and watches none of them', async (args, message) => {
  expect(cli(['watch', 'eins', ...args])).toEqual({ status: 1, stdout: '', stderr: `${message}\n` });
  expect(await watched()).toEqual([]);
});

test('a database without the feed, a user without the right, and a table that is not theirs', async () => {
  expect(cli(['watch', 'eins'], databaseUrl('template1'))).toEqual({
    status: 1,
    stdout: '',
    stderr: 'The database has no schema change_feed: run `pg-change-feed migrate` first.\n',
  });
  const url = new URL(database.url);
  url.username = 'fremd';
  url.password = 'fremd';
  expect(cli(['watch', 'eins'], url.href)).toEqual({
    status: 1,
    stdout: '',
    stderr: 'fremd may not change what is watched. As a superuser: grant change_feed_owner to fremd.\n',
  });
  await runAsAdmin('grant change_feed_owner to fremd');
  try {
    expect(cli(['watch', 'eins'], url.href).stderr).toBe('only the owner of public.eins can have it watched.\n');
  } finally {
    await runAsAdmin('revoke change_feed_owner from fremd');
  }
});

test('watch --all takes what is not watched yet, but not what is excepted', async () => {
  expect(cli(['watch', '--all', '--except', 'verein.*', 'Groß*', 'kysely_*', '--no-keys'])).toEqual({
    status: 0,
    stdout: `watching public."Album" as 'Album'\nwatching public.eins as 'eins'\nwatching public.kind as 'eins'\n`,
    stderr: '',
  });
  expect(cli(['watch', '--all', '--except', 'verein.*', 'Groß*', 'kysely_*']).stdout).toBe('nothing new to watch\n');
  expect(await watched()).toEqual(['"Album" Album f', 'eins eins f', 'kind eins f']);
  expect(cli(['watch', '--all', '--except', 'verein.*', 'Groß*', 'kysely_*', '--future']).status).toBe(0);
  await database.psql.query('create table spaeter (id int primary key)');
  expect(await watched()).toContain('spaeter spaeter t');
  expect(cli(['watch', '--all', '--except', '*', '--no-future']).status).toBe(0);
  await database.psql.query('drop table spaeter; create table spaeter (id int primary key)');
  expect(await watched()).not.toContain('spaeter spaeter t');
  expect(cli(['unwatch', 'eins', 'kind', '"Album"']).status).toBe(0);
});

test.each([
  [['--all', 'eins'], '--all takes no tables: leave some out with --except'],
  [['--except', 'eins'], '--except and --future are for --all'],
  [['--no-future'], '--except and --future are for --all'],
  [['--all', '--scope', 'id'], '--resource and --scope are for tables that are named'],
  [[], 'name a table, or give --all'],
])('watch %j cannot be understood', (args, message) => {
  expect(cli(['watch', ...args])).toEqual({ status: 2, stdout: '', stderr: `error: ${message}\n` });
});

test('a table that somebody works on is given up after 5 s, with a sentence', async () => {
  const writer = await database.session();
  await writer.query('begin; insert into eins values (1)');
  expect(cli(['watch', 'eins'])).toEqual({
    status: 1,
    stdout: '',
    stderr:
      'could not lock public.eins within 5 s. ' +
      'Another transaction works on it, or is watching tables itself. End that one, or try again.\n',
  });
  await writer.query('rollback');
});

test.each(['watch', 'unwatch'])('%s --help shows examples', (command) => {
  const { status, stdout } = cli([command, '--help']);
  expect(status).toBe(0);
  expect(stdout).toMatch(new RegExp(`Examples?:\n  pg-change-feed ${command} veranstaltung anmeldung`));
});
