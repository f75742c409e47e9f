import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { createTestDatabase, runAsAdmin, type TestDatabase } from '../test-database.js';
import { until } from '../until.js';

const CLI = join(packageRoot, 'dist/src/cli.js');
const SECRET = 'a secret of the tests, long enough for HS256';
const USER = `keyholder_${process.pid}`;
const PASSWORD = 'from:a\\file';

let home: string;
let database: TestDatabase;
let url: URL;
const children: ChildProcess[] = [];

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'address-'));
  database = await createTestDatabase();
  await runAsAdmin(`create role ${USER} login superuser password '${PASSWORD}'`);
  url = new URL(database.url);
  url.username = USER;
  url.password = '';
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await database.drop();
  await runAsAdmin(`drop role ${USER}`);
  await rm(home, { recursive: true });
});

function cli(args: string[], env: Record<string, string>) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    cwd: home,
    env: { PATH: process.env.PATH, HOME: home, JWT_SECRET: SECRET, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test.each<[string, Record<string, string>, RegExp]>([
  [
    'a # in a password',
    { DATABASE_URL: 'postgres://ada:ge#heim@host/app' },
    /^DATABASE_URL: expected postgres:\/\/user:password@host:port\/database: write # as %23/,
  ],
  [
    'an @ and a / in a password',
    { DATABASE_URL: 'postgres://ada:ge@im/heim@host/app' },
    /^DATABASE_URL: expected postgres:\/\/user:password@host:port\/database: /,
  ],
  [
    'words',
    { DATABASE_URL: 'host=a user=ada password=geheim' },
    /^DATABASE_URL: expected postgres:\/\/user:password@host:port\/database, and got words/,
  ],
  [
    'PGHOST alone',
    { PGHOST: 'host', PGPASSWORD: 'geheim' },
    /^PGHOST is set, and DATABASE_URL is not: set DATABASE_URL=postgres:\/\/ to take/,
  ],
  ['PGSERVICE alone', { PGSERVICE: 'main' }, /^PGSERVICE is not read: set DATABASE_URL=/],
  [
    'a socket that is not there',
    { DATABASE_URL: 'postgresql://ada:geheim@/app?host=/none' },
    /^The database postgres:\/\/ada@\/app\?host=\/none&port=5432 can't be used: there is no such socket/,
  ],
  [
    'the wrong LISTEN_DATABASE_URL',
    { LISTEN_DATABASE_URL: 'postgres://ada:geheim@127.0.0.1:1/app' },
    /nothing listens there \(ECONNREFUSED\)\. Check LISTEN_DATABASE_URL\.\n$/,
  ],
])('%s: one sentence, exit code 1, nothing of the password', (name, env, sentence) => {
  const { status, stdout, stderr } = cli(['serve'], {
    ...(name.startsWith('PG') ? {} : { DATABASE_URL: database.url }),
    ...env,
  });
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(stderr).not.toMatch(/heim|redacted/);
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
});

describe('a password in PGPASSFILE', () => {
  const file = async (content: string, mode = 0o600) => {
    const path = join(home, 'pgpass');
    await writeFile(path, content);
    await chmod(path, mode);
    return path;
  };
  const entry = () => `# ours\n${url.hostname}:${url.port}:*:${USER}:${PASSWORD.replace(/[:\\]/g, '\\$&')}\n`;

  test('is taken by every command and by the server, and nothing warns of anything', async () => {
    const env = {
      DATABASE_URL: `${url.href}?sslmode=disable`,
      PGPASSFILE: await file(entry()),
      NODE_OPTIONS: '--throw-deprecation',
      PORT: '0',
      METRICS_TOKEN: 'a token of the tests',
    };
    for (const args of [
      ['migrate'],
      ['sql', 'select 1 as one'],
      ['watch', 'veranstaltung', 'anmeldung'],
      ['status'],
      ['doctor', 'veranstaltung', 'anmeldung'],
      ['token', '--sub', 'ada'],
    ]) {
      expect({ args, ...cli(args, { ...env, METRICS_TOKEN: '' }) }).toMatchObject({ args, status: 0, stderr: '' });
    }
    const token = cli(['token', '--sub', 'ada'], { ...env, METRICS_TOKEN: '' }).stdout.trim();
    for (const args of [['serve'], ['tail', '--json']]) {
      const child = spawn(process.execPath, [CLI, ...args], {
        cwd: home,
        env: { PATH: process.env.PATH, JWT_SECRET: SECRET, ...env, METRICS_TOKEN: 'a-token-of-the-tests' },
      });
      children.push(child);
      let out = '';
      let err = '';
      child.stdout.on('data', (text) => {
        out += text;
      });
      child.stderr.on('data', (text) => {
        err += text;
      });
      if (args[0] === 'serve') {
        await until(() => out.includes('serving'), 'the server');
        const server = /"url":"([^"]+)"/.exec(out)?.[1];
        const headers = { Authorization: `Bearer ${token}` };
        const stream = await fetch(`${server}/api/events?resources=*`, { headers });
        expect(stream.status).toBe(200);
        await stream.body?.cancel();
        expect((await fetch(`${server}/readyz`)).status).toBe(200);
      } else {
        await until(() => {
          cli(['sql', "select change_feed.emit('here')"], { ...env, METRICS_TOKEN: '' });
          return out.includes('here');
        }, 'the change');
      }
      child.kill('SIGINT');
      await once(child, 'exit');
      expect(`${out}${err}`).not.toMatch(/warning/i);
    }
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    [
      'that others may read',
      () => file(entry(), 0o644),
      /asks for a password, .*group or world access; permissions should be u=rw/,
    ],
    [
      'without an entry',
      () => file('other:*:*:*:x\n'),
      /asks for a password, and DATABASE_URL, PGPASSWORD and PGPASSFILE have none for it\.\n$/,
    ],
    ['that is not there', async () => join(home, 'none'), /asks for a password/],
    ['with a wrong one', () => file(entry().replace(':from', ':to')), /it refuses the password \(28P01\)/],
  ])('%s: one sentence', async (_name, make, sentence) => {
    const { status, stderr } = cli(['status'], { DATABASE_URL: url.href, PGPASSFILE: await make() });
    expect(stderr).toMatch(sentence);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(status).toBe(1);
  });

  test('PGPASSWORD goes before it', async () => {
    const env = {
      DATABASE_URL: url.href,
      PGPASSFILE: await file(entry().replace(':from', ':to')),
      PGPASSWORD: PASSWORD,
    };
    expect(cli(['sql', 'select 1 as one'], env)).toMatchObject({ status: 0, stderr: '' });
  });
});
