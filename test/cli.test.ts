import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { CLI, CommandLine } from './command-line.js';
import { createRawDatabase, createTestDatabase, databaseUrl, runAsAdmin } from './test-database.js';
import { until } from './until.js';

const SECRET = 'a secret of the tests, long enough for HS256';

let home: string;
let programs: CommandLine;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cli-'));
  programs = new CommandLine(home);
});

afterAll(async () => {
  programs.stop();
  await rm(home, { recursive: true, force: true });
});

const cli = (args: string[], env: Record<string, string> = {}) => programs.run(CLI, args, env);

describe('with DATABASE_URL', () => {
  test('migrate makes the schema of the feed and nothing else, and serve serves it', async () => {
    const name = `feed_only_${process.pid}`;
    await createRawDatabase(name);
    const env = { DATABASE_URL: databaseUrl(name), JWT_SECRET: SECRET, PORT: '0' };
    const tooEarly = cli(['serve'], env);
    expect(tooEarly).toEqual({
      status: 1,
      stdout: '',
      stderr: 'The database has no schema change_feed: run `pg-change-feed migrate` first.\n',
    });
    expect(cli(['migrate'], env).stdout).toMatch(/^Migrated: 000-schema\.sql, 001-log\.sql, /);
    expect(cli(['migrate'], env).stdout).toBe('The schema is the newest already.\n');
    const made = cli(['sql', `select count(*)::int as tables from pg_tables where schemaname = 'public'`], env).stdout;
    expect(made).toMatch(/│ 0 +│ 0 +│/);
    const server = programs.start(process.execPath, [CLI, 'serve'], env);
    await until(() => server.said().includes('"msg":"serving"'), 'the server');
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    await runAsAdmin(`drop database ${name} with (force)`);
  });
});

describe('a mistake is one clear sentence, and exit code 1', () => {
  test.each<[string, string[], Record<string, string>, RegExp]>([
    ['a bad setting', ['serve'], { PORT: 'x' }, /^PORT: expected a whole number from 0 to 65535\n$/],
    ['no DATABASE_URL', ['serve'], { JWT_SECRET: SECRET }, /^DATABASE_URL: expected postgres:/],
    [
      'no JWT_SECRET',
      ['serve'],
      { DATABASE_URL: 'postgres://a@127.0.0.1:1/a' },
      /^JWT_SECRET: expected at least 32 bytes/,
    ],
    [
      'nothing listens',
      ['serve'],
      { DATABASE_URL: 'postgres://a:geheim@127.0.0.1:1/a', JWT_SECRET: SECRET },
      /^The database postgres:\/\/a@127\.0\.0\.1:1\/a can't be used: nothing listens there \(ECONNREFUSED\)\. Check DATABASE_URL\.\n$/,
    ],
    [
      'no such host',
      ['migrate'],
      { DATABASE_URL: 'postgres://a@gibtesnicht.invalid/a' },
      /^The database .* can't be used: .*\n$/,
    ],
    ['no DATABASE_URL for sql', ['sql', 'SELECT 1'], {}, /^DATABASE_URL: expected postgres:/],
  ])('%s', (_name, args, env, message) => {
    const { status, stdout, stderr } = cli(args, env);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).not.toMatch(/ at .*\.js:\d+|geheim/);
  });

  test.each([
    [['token', '--sub', 'a', '--expires', '1 Stunde'], /expected a duration such as 90s/],
    [['laufe'], /unknown command 'laufe'/],
    [['watch'], /name a table, or give --all/],
    [['unwatch'], /missing required argument 'tables'/],
    [['watch', '--schluessel', 'a'], /unknown option '--schluessel'/],
  ])('%j can not be understood: exit code 2', (args, message) => {
    const { status, stdout, stderr } = cli(args, { JWT_SECRET: SECRET });
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  test('a wrong password, a missing database, a missing right', async () => {
    const { url, drop } = await createTestDatabase();
    await runAsAdmin(
      `do $$ begin create role leser login password 'leser'; exception when duplicate_object then null; end $$`,
    );
    const as = (user: string, path?: string) => {
      const address = new URL(url);
      address.username = user;
      address.password = user;
      if (path) address.pathname = path;
      return { DATABASE_URL: address.href, JWT_SECRET: SECRET, PORT: '0' };
    };
    expect(cli(['serve'], as('leser', '/gibtesnicht')).stderr).toMatch(/it has no such database \(3D000\)/);
    const { status, stderr } = cli(['serve'], as('leser'));
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^The user of postgres:\/\/leser@\S+ lacks a right: permission denied for schema change_feed\.\n$/,
    );
    await drop();
  });

  test('a port that is in use', async () => {
    const { url, drop } = await createTestDatabase();
    const taken = createServer().listen(0, 'localhost');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    // With the event loop of this process free, for it is the one that holds the port
    const server = programs.start(process.execPath, [CLI, 'serve'], {
      DATABASE_URL: url,
      JWT_SECRET: SECRET,
      PORT: String(port),
      LOG_LEVEL: 'silent',
    });
    const [code] = await once(server.child, 'exit');
    expect({ code, said: server.said() }).toEqual({
      code: 1,
      said: `Port ${port} on localhost is in use: stop what uses it, or set PORT to another.\n`,
    });
    taken.close();
    await drop();
  });
});

test('token prints the JWT alone, with what was asked for', () => {
  const { status, stdout } = cli(['token', '--sub', 'ada', '--expires', '10min', '--resources', 'a,b'], {
    JWT_SECRET: SECRET,
    DATABASE_URL: 'postgres://x/y',
  });
  expect(status).toBe(0);
  const claims = JSON.parse(Buffer.from(stdout.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toEqual({ sub: 'ada', resources: ['a', 'b'], iat: expect.any(Number), exp: claims.iat + 600 });
});

test('.env is read, and the environment wins', async () => {
  await writeFile(join(home, '.env'), `JWT_SECRET='${SECRET}'\nDATABASE_URL=postgres://x/y\nPORT=abc\n`);
  expect(cli(['token', '--sub', 'ada']).stderr).toMatch(/^PORT: expected/);
  expect(cli(['token', '--sub', 'ada'], { PORT: '1' }).status).toBe(0);
  await rm(join(home, '.env'));
});
