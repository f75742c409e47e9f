import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { createDatabase } from '../../src/app/database.js';
import type { LoggedChange } from '../../src/change.js';
import { migrateChangeFeed } from '../../src/database/migrate.js';
import { parsePosition } from '../../src/feed/log/position.js';
import { createChangeFeed, type FeedWithStreams } from '../../src/http/create-change-feed.js';
import { packageRoot } from '../../src/package-root.js';
import { runProgram } from '../run-program.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

const CLI = join(packageRoot, 'dist/src/cli.js');

/** What the bytes of E'M\xFCller' and of E'a\x81' are in each encoding: a key that can be told, or none. */
const ENCODINGS = [
  { encoding: 'SQL_ASCII', fc: null, x81: null },
  { encoding: 'LATIN1', fc: 'M\u00fcller', x81: 'a\u0081' },
  { encoding: 'WIN1252', fc: 'M\u00fcller', x81: null },
] as const;

async function serverVersion(): Promise<number> {
  const client = new pg.Client({ connectionString: process.env.TEST_SERVER_URL });
  await client.connect();
  const { rows } = await client.query(`select current_setting('server_version_num')::int / 10000 as version`);
  await client.end();
  return rows[0].version;
}

describe.each(ENCODINGS)('in a database in $encoding', ({ encoding, fc, x81 }) => {
  const name = `encoded_${encoding.toLowerCase()}_${process.pid}`;
  let psql: pg.Client;
  let feed: FeedWithStreams;
  const errors: string[] = [];
  const heard: LoggedChange[] = [];

  const start = async () => {
    const made = createChangeFeed({
      databaseUrl: databaseUrl(name),
      logger: pino({ level: 'warn' }, { write: (line: string) => void errors.push(line) }),
    });
    await made.start();
    return made;
  };

  beforeAll(async () => {
    // Only libc has them all; before 15 there was no other provider.
    const provider = (await serverVersion()) >= 15 ? 'locale_provider libc' : '';
    await createRawDatabase(name, `encoding '${encoding}' ${provider} locale 'C' template template0`);
    const db = createDatabase(databaseUrl(name));
    await migrateChangeFeed(db);
    await db.destroy();
    psql = new pg.Client({ connectionString: databaseUrl(name) });
    await psql.connect();
    await psql.query(`set client_encoding to sql_ascii; create table member (name text primary key);
      select change_feed.watch('member')`);
    feed = await start();
    feed.changes.listen({ onChanges: (changes) => heard.push(...changes), onLost: () => {} });
  });

  afterAll(async () => {
    await feed.stop();
    await psql.end();
    await runAsAdmin(`drop database if exists ${name} with (force)`);
  });

  const untilHeard = (resource: string) => until(() => heard.some((change) => change.resource === resource), resource);

  test('a key of other bytes costs its own keys at the most, and all others are told', async () => {
    const before = await feed.currentPosition();
    heard.length = 0;
    await psql.query(`insert into member values ('Ada')`);
    await psql.query(`insert into member values (E'M\\xFCller')`);
    await psql.query(`insert into member values (E'a\\x81')`);
    await psql.query(`select change_feed.emit('afterwards')`);
    await untilHeard('afterwards');
    const told = (changes: readonly LoggedChange[]) =>
      changes.filter(({ resource }) => resource === 'member').map(({ operation, keys }) => ({ operation, keys }));
    const expected = [['Ada'], fc && [fc], x81 && [x81]].map((keys) => ({
      operation: 'insert',
      ...(keys ? { keys } : { keys: undefined }),
    }));
    expect(told(heard)).toEqual(expected);

    // Who comes back, and a server that starts
    const position = parsePosition(before);
    if (!position) throw new Error('Expected a position');
    const other = await start();
    expect(told((await other.changes.changesSince(position, ['member'])).changes)).toEqual(expected);
    const all = await other.changes.changesSince(position, ['member', '\u65e5\u672c']);
    expect(told(all.changes)).toEqual(expected);
    await other.stop();
    expect(errors.filter((line) => !/connection that listens/.test(line))).toEqual([]);
  });

  test('so do the name of a resource, who wrote, and the data of an event', async () => {
    heard.length = 0;
    await psql.query(
      `select set_config('change_feed.actor', E'M\\xFC', false), set_config('change_feed.client', E'M\\x81', false)`,
    );
    await psql.query(`select change_feed.emit(E'res\\x81', E'{"a":"\\x81"}'::jsonb)`);
    await psql.query(`reset change_feed.actor; reset change_feed.client; select change_feed.emit('afterwards')`);
    await untilHeard('afterwards');
    const [change] = heard;
    expect(change?.resource).toBe(x81 ? 'res\u0081' : 'res\\201');
    expect(change?.data).toEqual(x81 ? { a: '\u0081' } : undefined);
    expect(change?.origin?.actor).toBe(fc ? 'M\u00fc' : 'M\\374');
    expect(await feed.changes.allResources()).toContain(change?.resource);
  });

  test('so do many changes, which are summed up in SQL', async () => {
    heard.length = 0;
    await psql.query(`do $$ begin for i in 1..300 loop
      insert into member values (E'x\\x81' || i); perform change_feed.emit(E'res\\x81'); end loop; end $$`);
    await psql.query(`select change_feed.emit('afterwards')`);
    await untilHeard('afterwards');
    expect(new Set(heard.map(({ resource }) => resource))).toContain('member');
    expect(errors.filter((line) => !/connection that listens/.test(line))).toEqual([]);
  });

  test('the commands read it', async () => {
    // Other encodings have names that cannot be shown, too; only here may bytes be none at all.
    if (encoding === 'SQL_ASCII')
      await psql.query(`do $$ begin
      execute format('create table %I (id int primary key)', E't\\x81');
      perform change_feed.watch(format('%I', E't\\x81')::regclass);
      execute format('create table %I (id int primary key)', E'other\\x81');
      execute format('insert into %I values (1)', E't\\x81');
    end $$`);
    if (encoding === 'SQL_ASCII') await untilHeard('t\\201');
    const env = { PATH: process.env.PATH, DATABASE_URL: databaseUrl(name) };
    for (const args of [['status'], ['doctor']]) {
      const { stdout, stderr } = await runProgram(process.execPath, [CLI, ...args], { cwd: tmpdir(), env });
      expect(stderr).toBe('');
      expect(stdout).toContain(args[0] === 'status' ? 'member' : 'ok');
    }
    const child = spawn(process.execPath, [CLI, 'tail', '--since', '1h'], { cwd: tmpdir(), env });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text) => {
        out += text;
      });
    }
    await until(() => out.includes('"resource":"member"'), 'tail').catch((error) => {
      throw new Error(`tail printed ${out}`, { cause: error });
    });
    child.kill('SIGKILL');
  });
});

test('a database in UTF-8 pays nothing: the planner leaves the functions out', async () => {
  const name = `encoded_utf8_${process.pid}`;
  await createRawDatabase(name, `encoding 'UTF8' template template0`);
  const db = createDatabase(databaseUrl(name));
  await migrateChangeFeed(db);
  await db.destroy();
  const psql = new pg.Client({ connectionString: databaseUrl(name) });
  await psql.connect();
  const { rows } = await psql.query(`explain verbose select change_feed.readable(keys),
    change_feed.readable_name(resource), change_feed.readable_origin(details) from change_feed.change`);
  expect(JSON.stringify(rows)).toContain('Output: keys, resource, (json_build_array');
  expect(JSON.stringify(rows)).not.toContain('readable');
  await psql.end();
  await runAsAdmin(`drop database ${name}`);
});
