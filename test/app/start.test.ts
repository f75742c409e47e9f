import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EventSource } from 'eventsource';
import { isAlive, readInstanceFile } from '../../src/embedded/holder.js';
import { APPLICATION, CommandLine, type RunningProgram } from '../command-line.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

const SECRET = 'a secret of the tests, long enough for HS256';
const PHP_CLIENT = '/usr/share/php/Symfony/Component/HttpClient/autoload.php';

let home: string;
let programs: CommandLine;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'application-'));
  spawnSync('chmod', ['755', home]);
  programs = new CommandLine(home);
});

afterAll(async () => {
  programs.stop();
  await rm(home, { recursive: true, force: true });
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
  let server: RunningProgram;
  let url: string;
  let token: string;

  beforeAll(async () => {
    env.DATA_DIR = join(home, 'daten');
    server = programs.start(process.execPath, [APPLICATION], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    url = /URL +(\S+)/.exec(server.said())?.[1] ?? '';
    token = programs.run(APPLICATION, ['token', '--sub', 'ada'], env).stdout.trim();
  });

  afterAll(async () => {
    // Its Postgres still writes to the folder until it has ended.
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
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
      () =>
        programs.start('curl', [
          '-sN',
          `${url}/api/events?resources=veranstaltung`,
          '-H',
          `Authorization: Bearer ${token}`,
        ]),
    ],
    [
      'php',
      () =>
        programs.start('php', [
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
    const done = programs.run(APPLICATION, ['sql', `UPDATE veranstaltung SET ort = '${name}' WHERE id = 1`], env);
    expect(done).toEqual({ status: 0, stdout: 'UPDATE 1\n', stderr: '' });
    await until(() => client.said().includes('"operation":"update","keys":[1]'), `${name} to hear of it`);
    client.child.kill();
  });

  test('sql prints rows, and what Postgres says', () => {
    expect(programs.run(APPLICATION, ['sql', 'SELECT count(*) FROM veranstaltung WHERE false'], env).stdout).toMatch(
      /count.*SELECT 1/s,
    );
    expect(programs.run(APPLICATION, ['sql', 'SELEKT'], env)).toEqual({
      status: 1,
      stdout: '',
      stderr: 'ERROR: syntax error at or near "SELEKT"\n',
    });
  });

  test('a second one says who holds DATA_DIR', () => {
    const second = programs.run(APPLICATION, [], env);
    expect(second.status).toBe(1);
    expect(second.stderr).toMatch(new RegExp(`^DATA_DIR .* is in use by process ${server.child.pid} .*\n$`));
  });

  test('stops on a signal, with its Postgres, and starts again without seeding', async () => {
    const { postgresPid = 0 } = (await readInstanceFile(env.DATA_DIR)) ?? {};
    programs.run(APPLICATION, ['sql', 'DELETE FROM veranstaltung WHERE id > 1'], env);
    // As a Ctrl-C under npm does: twice at once, and it is no second signal of a person.
    server.child.kill('SIGINT');
    server.child.kill('SIGTERM');
    const [code] = await once(server.child, 'exit');
    expect(code).toBe(0);
    expect(isAlive(postgresPid)).toBe(false);

    server = programs.start(process.execPath, [APPLICATION], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    expect(programs.run(APPLICATION, ['sql', 'DELETE FROM veranstaltung'], env).stdout).toBe('DELETE 1\n');
  });

  test('a token of before still holds: the secret is kept', async () => {
    const again = /URL +(\S+)/.exec(server.said())?.[1] ?? '';
    expect((await fetch(`${again}/api/anmeldungen`, { headers: { Authorization: `Bearer ${token}` } })).status).toBe(
      200,
    );
  });
});

describe('with DATABASE_URL', () => {
  test('it takes that database, brings it to the newest schema, and embeds or seeds nothing', async () => {
    const name = `application_${process.pid}`;
    await createRawDatabase(name);
    const env = { DATABASE_URL: databaseUrl(name), JWT_SECRET: SECRET, PORT: '0', DATA_DIR: join(home, 'never') };
    const server = programs.start(process.execPath, [APPLICATION], env);
    await until(() => server.said().includes('Ctrl-C stops everything'), 'the server');
    expect(programs.run(APPLICATION, ['sql', 'SELECT count(*) AS n FROM veranstaltung'], env).stdout).toMatch(/'0'/);
    server.child.kill('SIGTERM');
    await once(server.child, 'exit');
    await runAsAdmin(`drop database ${name} with (force)`);
    expect(spawnSync('test', ['-e', env.DATA_DIR]).status).toBe(1);
  });
});
