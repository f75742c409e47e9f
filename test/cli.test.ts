import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EventSource } from 'eventsource';
import { isAlive, readHolder } from '../src/database/embedded/holder.js';
import { packageRoot } from '../src/package-root.js';
import { createTestDatabase, runAsAdmin } from './test-database.js';
import { until } from './until.js';

const CLI = join(packageRoot, 'dist/src/cli.js');
const SECRET = 'a secret of the tests, long enough for HS256';
const PHP_CLIENT = '/usr/share/php/Symfony/Component/HttpClient/autoload.php';

let home: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'cli-'));
  await spawnSync('chmod', ['755', home]);
});

afterAll(() => rm(home, { recursive: true, force: true }));

/** Runs a command to its end, as a user does. */
function cli(args: string[], env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    cwd: home,
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
}

const children: ChildProcess[] = [];

/** Starts a program that goes on, and collects what it says. */
function run(command: string, args: string[], env: Record<string, string> = {}): Running {
  const child = spawn(command, args, {
    cwd: home,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  return { child, said: () => said };
}

afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
});

const tools: [string, boolean, string][] = [
  ['curl', spawnSync('curl', ['--version']).status === 0, 'apt-get install curl'],
  [
    'php',
    spawnSync('php', ['-r', `exit(file_exists('${PHP_CLIENT}') ? 0 : 1);`]).status === 0,
    'apt-get install php-cli php-symfony-http-client',
  ],
];

describe('the built server, started as a user does', () => {
  const env = { DATA_DIR: '', PORT: '0', EMBEDDED_PORT: '0' };
  let server: Running;
  let url: string;
  let token: string;

  beforeAll(async () => {
    env.DATA_DIR = join(home, 'daten');
    server = run(process.execPath, [CLI, 'dev'], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    url = /URL +(\S+)/.exec(server.said())?.[1] ?? '';
    token = cli(['token', '--sub', 'ada'], env).stdout.trim();
  });

  test('says what to do next, and that works', async () => {
    const said = server.said();
    expect(said).toMatch(/psql +PGPASSFILE=\S+\/pgpass psql -h 127\.0\.0\.1 -p \d+ -U postgres pg_change_feed/);
    expect(said).toMatch(
      /curl -N 'http:\/\/localhost:\d+\/api\/events\?resources=\*' -H 'Authorization: Bearer [\w.-]+'/,
    );
    expect(said).toContain(`npm run sql -- "UPDATE veranstaltung SET ort = 'Lübeck' WHERE id = 1"`);
    const lists = await fetch(`${url}/api/veranstaltungen`, { headers: { Authorization: `Bearer ${token}` } });
    expect(((await lists.json()) as { total: number }).total).toBeGreaterThan(2);
  });

  test.each([
    [
      'curl',
      () => run('curl', ['-sN', `${url}/api/events?resources=veranstaltung`, '-H', `Authorization: Bearer ${token}`]),
    ],
    [
      'php',
      () =>
        run('php', [
          '-r',
          `require '${PHP_CLIENT}';
        $client = new Symfony\\Component\\HttpClient\\EventSourceHttpClient(Symfony\\Component\\HttpClient\\HttpClient::create());
        $source = $client->connect('${url}/api/events?resources=veranstaltung', ['headers' => ['Authorization' => 'Bearer ${token}']]);
        foreach ($client->stream($source) as $chunk) {
          if ($chunk instanceof Symfony\\Component\\HttpClient\\Chunk\\ServerSentEvent) echo $chunk->getType(), ' ', $chunk->getId(), ' ', $chunk->getData(), "\\n";
        }`,
        ]),
    ],
    [
      'eventsource',
      () => {
        let said = '';
        const source = new EventSource(`${url}/api/events?resources=veranstaltung&token=${token}`);
        for (const name of ['connected', 'table-update']) {
          source.addEventListener(name, (event) => {
            said += `${name} ${event.lastEventId} ${event.data}\n`;
          });
        }
        return { said: () => said, child: { kill: () => source.close() } };
      },
    ],
  ])('is understood by %s', async (name, start) => {
    const [, there = true, advice = ''] = tools.find(([tool]) => tool === name) ?? [];
    if (!there) {
      // CI installs them all, and must not pass without.
      if (process.env.CI) throw new Error(`${name} is missing: ${advice}`);
      console.warn(`Skipped, for ${name} is missing: ${advice}`);
      return;
    }
    const client = start();
    await until(() => client.said().includes('connected'), `${name} to connect`);
    const done = cli(['sql', `UPDATE veranstaltung SET ort = '${name}' WHERE id = 1`], env);
    expect(done).toEqual({ status: 0, stdout: 'UPDATE 1\n', stderr: '' });
    await until(() => client.said().includes('"operation":"update","keys":[1]'), `${name} to hear of it`);
    client.child.kill();
  });

  test('sql prints rows, and what Postgres says', () => {
    expect(cli(['sql', 'SELECT count(*) FROM veranstaltung WHERE false'], env).stdout).toMatch(/count.*SELECT 1/s);
    expect(cli(['sql', 'SELEKT'], env)).toEqual({
      status: 1,
      stdout: '',
      stderr: 'ERROR: syntax error at or near "SELEKT"\n',
    });
  });

  test('a second one says who holds DATA_DIR', () => {
    const second = cli(['dev'], env);
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`^DATA_DIR .* is in use by process ${server.child.pid} .*\n$`));
  });

  test('stops on a signal, with its Postgres, and starts again without seeding', async () => {
    const { postgresPid = 0 } = (await readHolder(env.DATA_DIR)) ?? {};
    cli(['sql', 'DELETE FROM veranstaltung WHERE id > 1'], env);
    // As a Ctrl-C under npm does: twice at once, and it is no second signal of a person.
    server.child.kill('SIGINT');
    server.child.kill('SIGTERM');
    const [code] = await once(server.child, 'exit');
    expect(code).toBe(0);
    expect(isAlive(postgresPid)).toBe(false);

    server = run(process.execPath, [CLI, 'dev'], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    expect(cli(['sql', 'DELETE FROM veranstaltung'], env).stdout).toBe('DELETE 1\n');
  });

  test('a token of before still holds: the secret is kept', async () => {
    const again = /URL +(\S+)/.exec(server.said())?.[1] ?? '';
    expect((await fetch(`${again}/api/anmeldungen`, { headers: { Authorization: `Bearer ${token}` } })).status).toBe(
      200,
    );
  });
});

describe('with DATABASE_URL', () => {
  test('migrate and serve take that database, and nothing is embedded or seeded', async () => {
    const { url: full, drop } = await createTestDatabase();
    const name = `leer_${process.pid}`;
    await runAsAdmin(`create database ${name}`);
    const url = new URL(full);
    url.pathname = `/${name}`;
    const env = { DATABASE_URL: url.href, JWT_SECRET: SECRET, PORT: '0', DATA_DIR: join(home, 'nie') };
    const tooEarly = cli(['serve'], env);
    expect(tooEarly).toEqual({
      status: 1,
      stdout: '',
      stderr: 'The database has no schema change_feed: run `pg-change-feed migrate` first.\n',
    });
    expect(cli(['migrate'], env).stdout).toBe('Migrated: 0001-change-feed, 0002-veranstaltung, 0003-anmeldung\n');
    expect(cli(['migrate'], env).stdout).toBe('The schema is the newest already.\n');
    const server = run(process.execPath, [CLI, 'dev'], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    expect(cli(['sql', 'SELECT count(*) AS n FROM veranstaltung'], env).stdout).toMatch(/'0'/);
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    await runAsAdmin(`drop database ${name} with (force)`);
    await drop();
    expect(spawnSync('test', ['-e', env.DATA_DIR]).status).toBe(1);
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
    ['no embedded one', ['sql', 'SELECT 1'], { DATA_DIR: '/nirgends' }, /^No embedded Postgres is running/],
  ])('%s', (_name, args, env, message) => {
    const { status, stdout, stderr } = cli(args, env);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).not.toMatch(/ at .*\.js:\d+|geheim/);
  });

  test.each([
    [['token', '--sub', 'a', '--expires', '1 Stunde'], /expected a duration such as 90s/],
    [['laufe'], /unknown command 'laufe'/],
    [['watch'], /missing required argument 'tables'/],
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
    const server = run(process.execPath, [CLI, 'serve'], {
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
