import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sql } from 'kysely';
import pg from 'pg';
import { createDatabase } from '../../src/app/database.js';
import { migrateApplication } from '../../src/app/migrate.js';
import { parseAddress, sessionTo } from '../../src/database/address.js';
import { startEmbeddedPostgres } from '../../src/embedded/embedded-postgres.js';
import { createChangeFeed } from '../../src/http/create-change-feed.js';
import { OperatorError } from '../../src/operator-error.js';
import { createTestDatabase } from '../test-database.js';
import { until } from '../until.js';

const EXAMPLE = 'expected postgres://user:password@host:port/database';

describe('an address that is refused: one sentence, and nothing of it', () => {
  test.each<[string, string | undefined, string]>([
    ['none', undefined, EXAMPLE],
    ['an empty one', '', EXAMPLE],
    ['a line break', '\n', EXAMPLE],
    ['another scheme', 'mysql://ada:geheim@host/app', EXAMPLE],
    ['HTTP', 'https://host/app', EXAMPLE],
    ['no scheme', 'ada:geheim@host/app', EXAMPLE],
    ['words', 'host=h user=ada password=geheim dbname=app', `${EXAMPLE}, and got words such as host=…`],
    ['a line break in it', 'postgres://ada:ge\nheim@host/app', EXAMPLE],
    ['a tab in it', 'postgres://ada:ge\theim@host/app', EXAMPLE],
    ['a # in the password', 'postgres://ada:ge#heim@host/app', 'write # as %23'],
    ['a # behind digits', 'postgres://ada:12#geheim@host/app', 'write # as %23'],
    ['a / in the password', 'postgres://ada:ge/heim@host/app', '/ as %2F'],
    ['a / behind digits', 'postgres://ada:12/geheim@host/app', '/ as %2F'],
    ['an @ and a / in the password', 'postgres://ada:ge@im/heim@host/app', '@ as %40'],
    ['an @ and a # in the password', 'postgres://ada:ge@im#heim@host/app', '@ as %40'],
    ['a ? in the password', 'postgres://ada:ge?heim@host/app', '? as %3F'],
    ['a ? and a = in the password', 'postgres://ada:12?ge=heim@host/app', '? as %3F'],
    ['a code that is no text', 'postgres://ada:ge%FFheim@host/app', '% as %25'],
    ['a broken host', 'postgres://ada:geheim@[/app', EXAMPLE],
    ['several hosts', 'postgres://ada:geheim@one,two/app', 'expected one host'],
    ['several hosts with ports', 'postgres://ada:geheim@one:5432,two:5433/app', 'expected one host'],
    ['several hosts as a parameter', 'postgres://ada:geheim@/app?host=one,two', 'expected one host'],
    ['a port out of range', 'postgres://ada:geheim@host:65536/app', 'a port from 1 to 65535'],
    ['the port 0', 'postgres://ada:geheim@host:0/app', 'a port from 1 to 65535'],
    ['a port that is none', 'postgres://ada:geheim@host:five/app', 'a port from 1 to 65535'],
    ['a port as a parameter', 'postgres://ada:geheim@host/app?port=99999', 'a port from 1 to 65535'],
    ['an unknown sslmode', 'postgres://ada:geheim@host/app?sslmode=requir', 'sslmode: expected one of'],
    ['sslmode=allow', 'postgres://ada:geheim@host/app?sslmode=allow', 'sslmode: expected one of'],
    ['an unknown ssl', 'postgres://ada:geheim@host/app?ssl=please', 'ssl: expected true or false'],
    ['a file that is not there', 'postgres://ada:geheim@host/app?sslrootcert=/none', "can't be read (ENOENT)"],
    ['a service', 'postgres://ada:geheim@host/app?service=main', 'service is not read'],
  ])('%s', (_name, text, sentence) => {
    const read = () => parseAddress(text, 'DATABASE_URL');
    expect(read).toThrow(OperatorError);
    expect(read).toThrow(`DATABASE_URL: ${sentence.includes(EXAMPLE) ? sentence : ''}`);
    expect(read).toThrow(sentence);
    expect(read).not.toThrow(/geheim|heim|\n/);
  });

  test('whatever characters are in the password, in code or not: it is that, or nothing of it is shown', () => {
    const character = fc.constantFrom(...'#/?@%:[]\\ &=+,;\'"$4Fäx'.split(''));
    const password = fc.array(character, { minLength: 1, maxLength: 6 }).map((parts) => `S${parts.join('')}3CRET`);
    fc.assert(
      fc.property(password, (secret) => {
        const encoded = parseAddress(`postgres://ada:${encodeURIComponent(secret)}@host/app`);
        expect(encoded.config).toMatchObject({ user: 'ada', password: secret, host: 'host', database: 'app' });
        expect(encoded.text).toBe('postgres://ada@host:5432/app');
        try {
          const { config, text } = parseAddress(`postgres://ada:${secret}@host/app`);
          expect(text).toBe('postgres://ada@host:5432/app');
          // What looks like a code is one: %4F
          expect(config.password).toBe(decodeURIComponent(secret.replace(/%(?![\da-f]{2})/gi, '%25')));
        } catch (error) {
          expect(error).toBeInstanceOf(OperatorError);
          expect((error as Error).message).not.toMatch(/3CRET|ada/);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('an address that is taken', () => {
  test.each<[string, object, string]>([
    [
      'postgres://ada:x@host:5433/app',
      { user: 'ada', password: 'x', host: 'host', port: 5433, database: 'app' },
      'postgres://ada@host:5433/app',
    ],
    ['  postgresql://ada:x@host/app\n', { port: 5432, database: 'app' }, 'postgres://ada@host:5432/app'],
    [
      'postgres://ada:p@ss:w%23rd %@host/app',
      { user: 'ada', password: 'p@ss:w#rd %', host: 'host' },
      'postgres://ada@host:5432/app',
    ],
    [
      'postgresql://ada:x@/app?host=/var/run/pg',
      { host: '/var/run/pg', database: 'app', user: 'ada' },
      'postgres://ada@/app?host=/var/run/pg&port=5432',
    ],
    [
      'postgresql://ada:x@%2Fvar%2Frun/app',
      { host: '/var/run', database: 'app' },
      'postgres://ada@/app?host=/var/run&port=5432',
    ],
    ['postgres://ada:x@[::1]:5433/app', { host: '::1', port: 5433 }, 'postgres://ada@[::1]:5433/app'],
    [
      'postgres://host/a%23b%2Fc?user=a@b&password=x',
      { user: 'a@b', database: 'a#b/c' },
      'postgres://a%40b@host:5432/a%23b%2Fc',
    ],
    ['postgres://ada:x@host/app?sslmode=disable', { ssl: false }, 'postgres://ada@host:5432/app'],
    [
      'postgres://ada:x@host/app?sslmode=no-verify',
      { ssl: { rejectUnauthorized: false } },
      'postgres://ada@host:5432/app',
    ],
    ['postgres://ada:x@host/app?ssl=no-verify', { ssl: { rejectUnauthorized: false } }, 'postgres://ada@host:5432/app'],
    ['postgres://ada:x@host/app?sslmode=require', { ssl: {} }, 'postgres://ada@host:5432/app'],
    [
      'postgres://ada:x@host/app?sslmode=require&uselibpqcompat=true',
      { ssl: { rejectUnauthorized: false } },
      'postgres://ada@host:5432/app',
    ],
  ])('%s', (text, config, shown) => {
    const address = parseAddress(text);
    expect(address.config).toMatchObject(config);
    expect(address.text).toBe(shown);
  });

  test('nothing else that pg would take from a URL reaches a session', () => {
    const { config } = parseAddress(
      'postgres://ada:x@host/app?query_timeout=1&max=1&connectionTimeoutMillis=1&stream=x&schema=a',
    );
    expect(config.stream).not.toBe('x');
    expect(Object.keys(config).sort()).toEqual(['database', 'host', 'password', 'port', 'stream', 'user']);
  });

  test('what it leaves out comes from the variables of psql', () => {
    const before = { ...process.env };
    Object.assign(process.env, {
      PGHOST: '/run/pg',
      PGPORT: '5444',
      PGUSER: 'ada',
      PGPASSWORD: 'x',
      PGDATABASE: 'app',
    });
    try {
      expect(parseAddress('postgres://').config).toMatchObject({
        host: '/run/pg',
        port: 5444,
        user: 'ada',
        password: 'x',
        database: 'app',
      });
      expect(parseAddress('postgres://eve@host:1/b').config).toMatchObject({
        host: 'host',
        port: 1,
        user: 'eve',
        database: 'b',
      });
    } finally {
      process.env = before;
    }
  });
});

test('what it asks of its sessions counts, but for what the feed sets itself', async () => {
  const database = await createTestDatabase();
  const asked = '-c plan_cache_mode=auto -c work_mem=5MB';
  const url = `${database.url}?options=${encodeURIComponent(asked)}&application_name=mine`;
  const client = new pg.Client(sessionTo(url, { name: 'the feed', options: '-c plan_cache_mode=force_generic_plan' }));
  await client.connect();
  const { rows } =
    await client.query(`select current_setting('plan_cache_mode') as plan, current_setting('work_mem') as mem,
    current_setting('application_name') as name`);
  expect(rows).toEqual([{ plan: 'force_generic_plan', mem: '5MB', name: 'the feed' }]);
  await client.end();
  await database.drop();
});

test('a feed works over a socket of Unix', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'socket-'));
  await chmod(dataDir, 0o711);
  const sockets = await mkdtemp(join(tmpdir(), 's-'));
  await chmod(sockets, 0o777);
  const postgres = await startEmbeddedPostgres({
    dataDir,
    port: 0,
    settings: { fsync: 'off', unix_socket_directories: sockets },
  });
  const { username, password, pathname } = new URL(postgres.url);
  const url = `postgresql://${username}:${password}@${pathname}?host=${sockets}&port=${postgres.port}`;
  const db = createDatabase(url);
  try {
    await migrateApplication(db);
    const feed = createChangeFeed({ databaseUrl: url });
    const heard: string[] = [];
    await feed.start();
    feed.changes.listen({
      onChanges: (changes) => heard.push(...changes.map(({ resource }) => resource)),
      onLost: () => {},
    });
    await sql`select change_feed.emit('here')`.execute(db);
    await until(() => heard.includes('here') && feed.changes.leader.leading, 'the change');
    await feed.stop();
  } finally {
    await db.destroy();
    await postgres.stop();
    await rm(dataDir, { recursive: true });
    await rm(sockets, { recursive: true });
  }
});
