import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { CLI } from '../command-line.js';
import { runProgram } from '../run-program.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { TcpProxy, targetOf } from '../tcp-proxy.js';
import { createTestDatabase } from '../test-database.js';
import { until } from '../until.js';
import { type RunningCommand, useCommands } from './running-command.js';

let server: TestServer;
const start = useCommands();

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(() => server.stop());

const startTail = (args: string[], url = server.database.url) => start(url, ['tail', ...args]);

const emit = (resource: string, data: unknown = null) =>
  server.psql('select change_feed.emit($1, $2)', [resource, JSON.stringify(data)]);

/** Writes until the tail has heard of one: from then on it misses none. */
async function listening({ lines }: RunningCommand, resource = 'anfang'): Promise<void> {
  await until(async () => {
    await emit(resource);
    return lines().length > 0;
  });
}

describe('tail', () => {
  test('prints each change as a JSON object a line where nobody looks, with what is known of it', async () => {
    const tail = startTail([]);
    await listening(tail);
    const before = Date.now();
    await server.psql(`begin; set local change_feed.actor = 'grace';
      insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      values ('Lauf', '2030-07-01', '2030-07-02', now(), '2030-06-01', 20, 0); commit`);
    await until(() => tail.lines().some(({ resource }) => resource === 'veranstaltung'));
    const line = tail.lines().find(({ resource }) => resource === 'veranstaltung');
    expect(line).toEqual({
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      resource: 'veranstaltung',
      operation: 'insert',
      keys: [expect.any(Number)],
      origin: { application: 'psql', actor: 'grace' },
      position: expect.stringMatching(/^[0-9a-z]+\.\d+:\d+:/),
    });
    expect(Date.parse(line.at)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(line.at)).toBeLessThanOrEqual(Date.now());
  });

  test('only the resources that were asked for', async () => {
    const tail = startTail(['gefragt', 'auch']);
    await listening(tail, 'gefragt');
    for (const name of ['nicht', 'auch']) await emit(name);
    await until(() => tail.lines().some(({ resource }) => resource === 'auch'));
    expect(tail.lines().map(({ resource }) => resource)).not.toContain('nicht');
  });

  test('a scope, with the keys that its subscribers receive, also of what is summed up', async () => {
    await server.psql(`create table beet (id int primary key, garten int);
      select change_feed.watch('beet', scopes => '{garten}')`);
    const tail = startTail(['beet?garten=7', 'anfang']);
    await listening(tail);
    // Two transactions: of one, the row would come once without operation.
    await server.psql('insert into beet values (1, 7), (2, 8)');
    await server.psql(`do $$ begin for i in 1 .. 300 loop insert into beet values (100 + i, 8); end loop; end $$;
      update beet set garten = 9 where id = 1`);
    const ofScope = () => tail.lines().filter(({ resource }) => resource === 'beet');
    await until(() => ofScope().length === 2);
    const scope = { resource: 'beet', scope: { garten: '7' } };
    expect(ofScope()).toMatchObject([
      { ...scope, operation: 'insert', keys: [1] },
      { ...scope, operation: 'update', keys: [1] },
    ]);
  });

  test.each([
    [
      'a column that is no scope',
      'beet?id=7',
      /select change_feed\.watch\('public\.beet', scopes => '\{garten, id\}'\)/,
    ],
    ['another text of a value', 'beet?garten=07', /expected a whole number/],
    ['no topic', 'beet?garten', /expected name=value/],
  ])('%s is refused with what to do', (_name, topic, message) => {
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'tail', topic], {
      env: { PATH: process.env.PATH, DATABASE_URL: server.database.url },
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });

  test('Ctrl-C: exit code 130, and the line to go on with, which misses nothing', async () => {
    const first = startTail([]);
    await listening(first);
    first.child.kill('SIGINT');
    const [code] = await once(first.child, 'exit');
    expect(code).toBe(130);
    const since = /tail --since (\S+)/.exec(first.said.err)?.[1] ?? '';
    await emit('waehrenddessen');
    const second = startTail(['--since', since]);
    await until(() => second.lines().some(({ resource }) => resource === 'waehrenddessen'));
  });

  test('--since 10m begins with what the log has of then', async () => {
    await server.psql(`delete from change_feed.tick; select change_feed.note_tick();
      update change_feed.tick set at = at - interval '5 min'`);
    await emit('vor_drei_minuten');
    const tail = startTail(['vor_drei_minuten', '--since', '3m']);
    await until(() => tail.lines().length === 1);
  });

  test('--since where no server ever ran begins with what the log has, and says so', async () => {
    const database = await createTestDatabase();
    const psql = new pg.Client({ connectionString: database.url });
    await psql.connect();
    for (const name of ['one', 'two', 'three']) await psql.query('select change_feed.emit($1)', [name]);
    await psql.query(`update change_feed.change set at = at - interval '20 min' where resource = 'one'`);
    const tail = startTail(['--since', '10m'], database.url);
    await until(() => tail.lines().length === 2 && tail.said.err !== '', 'what was written, and the note');
    expect(tail.lines().map(({ resource }) => resource)).toEqual(['two', 'three']);
    expect(tail.said.err).toMatch(/^Listening from \d{4}-[\d:.T-]+Z, the first change in the log since then\.\n$/);
    tail.child.kill('SIGKILL');

    await psql.query(`update change_feed.change set at = at - interval '20 min'`);
    const none = startTail(['--since', '10m'], database.url);
    await until(() => none.said.err !== '', 'the note');
    expect(none.said.err).toBe('Listening from now on: the log has no change of the last 10m.\n');
    none.child.kill('SIGKILL');
    await psql.end();
    await database.drop();
  });

  test('says that it listens, and from where', async () => {
    await server.psql(`delete from change_feed.tick; select change_feed.note_tick();
      update change_feed.tick set at = at - interval '5 min'`);
    for (const [args, note] of [
      [[], 'Listening from now on.\n'],
      [['--since', '3m'], 'Listening from 3m ago.\n'],
      [['--since', await server.feed.currentPosition()], 'Listening from the position that --since names.\n'],
    ] as const) {
      const tail = startTail([...args]);
      await until(() => tail.said.err !== '', 'the note');
      expect(tail.said.err).toBe(note);
    }
  });

  test('where nobody serves, nobody rings; it looks by itself', async () => {
    const alone = await startTestServer();
    const url = alone.database.url;
    const tail = startTail([], url);
    await until(async () => {
      await alone.psql(`select change_feed.emit('mit')`);
      return tail.lines().length > 0;
    });
    await alone.feed.stop();
    await alone.psql(`select change_feed.emit('ohne')`);
    await until(() => tail.lines().some(({ resource }) => resource === 'ohne'));
    // It never leads: suspended, it would hold up all others
    const { rows } = await alone.psql(`select count(*)::int from pg_stat_activity
      where datname = current_database() and application_name = 'pg-change-feed leader'`);
    expect(rows[0].count).toBe(0);
    tail.child.kill('SIGKILL');
    await alone.stop();
  });

  test('connects again, and says so once each time', async () => {
    const way = await TcpProxy.open(() => targetOf(server.database.url));
    let target = targetOf(server.database.url);
    const detour = await TcpProxy.open(() => target);
    const tail = startTail([], detour.through(server.database.url));
    await listening(tail);
    target = { host: '127.0.0.1', port: 1 };
    detour.cut();
    await until(() => tail.said.err.includes('does not answer'));
    await emit('verpasst');
    target = targetOf(server.database.url);
    await until(() => tail.lines().some(({ resource }) => resource === 'verpasst'));
    expect(tail.said.err).toBe(
      'Listening from now on.\nThe database does not answer; trying again.\nThe database answers again.\n',
    );
    tail.child.kill('SIGKILL');
    await way.close();
    await detour.close();
  });

  test('ends when nobody reads any more', async () => {
    const tail = startTail([]);
    await listening(tail);
    tail.child.stdout?.destroy();
    const exit = once(tail.child, 'exit');
    await emit('noch_eine');
    await emit('und_noch_eine');
    expect(await exit).toEqual([0, null]);
  });

  test('in a terminal: a line for people, in colours, and none with NO_COLOR; nothing of a writer steers it', async () => {
    const terminal = (env: Record<string, string>) =>
      spawn('script', ['-qfec', `${process.execPath} ${CLI} tail`, '/dev/null'], {
        cwd: tmpdir(),
        env: { PATH: process.env.PATH, TERM: 'xterm', DATABASE_URL: server.database.url, ...env },
      });
    for (const env of [{}, { NO_COLOR: '1' }]) {
      const child = terminal(env);
      try {
        let said = '';
        child.stdout.setEncoding('utf8').on('data', (text) => {
          said += text;
        });
        await until(async () => {
          await server.psql(`begin; set local application_name = 'psql'; set local change_feed.actor = E'\\x1b[31mrot';
            select change_feed.emit('farbig', '{"n":1}'); commit`);
          return said.includes('farbig');
        });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what the test is about
        const escapes = /\x1b\[/;
        expect(escapes.test(said)).toBe(!('NO_COLOR' in env));
        // biome-ignore lint/suspicious/noControlCharactersInRegex: the same
        const plain = said.replace(/\x1b\[[\d;]*m/g, '');
        expect(plain).toMatch(/\d\d:\d\d:\d\d\.\d{3} {2}farbig {2}emit {2}\{"n": 1\} {2}via psql by \?\[31mrot/);
      } finally {
        child.kill('SIGKILL');
      }
    }
  });

  test.each([
    [['--since', 'gestern'], {}, '--since: expected a duration such as 10m, or a position, got gestern\n', 1],
    [['--jsn'], {}, "error: unknown option '--jsn'\n(Did you mean --json?)\n", 2],
    [[], { DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/none' }, '127.0.0.1:1', 1],
  ])('%j: %j: one sentence, no stack trace, no password', async (args, env, message, code) => {
    const { status, stderr } = await runProgram(process.execPath, [CLI, 'tail', ...args], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, DATABASE_URL: server.database.url, ...env },
    });
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n {4}at |secret/);
    expect(status).toBe(code);
  });
});

describe('status', () => {
  const status = (...args: string[]) =>
    runProgram(process.execPath, [CLI, 'status', ...args], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, DATABASE_URL: server.database.url },
    });

  test('shows servers, resources and the log, as psql does', async () => {
    const stream = await server.stream('resources=*');
    await stream.clientId();
    await emit('ereignis');
    await until(async () => {
      const { rows } = await server.psql(
        `select state from change_feed.status where name = '${server.feed.instanceId}'`,
      );
      return rows[0]?.state.includes('read the log');
    }, 'a report of the server');
    const { rows } = await server.psql('select * from change_feed.status');
    const of = (what: string, name: string) => rows.find((row) => row.what === what && row.name === name)?.state;
    expect(of('server', server.feed.instanceId)).toMatch(
      /^\d+ streams, (leads|follows), listens, read the log \d+ ms before, version \d+\.\d+\.\d+, .+:\d+$/,
    );
    expect(of('resource', 'ereignis')).toBe('emit via psql, no table is watched as it');
    expect(of('resource', 'anmeldung')).toBe('not among the last 10,000 changes');
    expect(of('log', 'change_feed.change')).toMatch(/^since then, \d+ changes?, \d+ kB$/);

    const text = (await status()).stdout;
    expect(text).toMatch(/^server {4}[0-9a-f]{8} /m);
    expect(text).toMatch(/^resource {2}ereignis /m);
    // Another server may have gone meanwhile, or this one been too busy to report
    const named = (all: { what: string; name: string }[]) =>
      all.filter(({ what }) => what !== 'server').map(({ what, name }) => `${what} ${name}`);
    expect(named(JSON.parse((await status('--json')).stdout))).toEqual(named(rows));
  });

  test('counts the changes of a small log, also before the first ANALYZE', async () => {
    const database = await createTestDatabase();
    const psql = new pg.Client({ connectionString: database.url });
    await psql.connect();
    const said = async () =>
      (await psql.query(`select state from change_feed.status where what = 'log'`)).rows[0].state.replace(
        /, \d+ kB$/,
        '',
      );
    expect(await said()).toBe('no changes');
    await psql.query(`select change_feed.emit('one')`);
    expect(await said()).toBe('since then, 1 change');
    await psql.query(`do $$ begin for i in 1..41 loop perform change_feed.emit('more'); end loop; end $$`);
    expect(await said()).toBe('since then, 42 changes');
    await psql.query(`do $$ begin for i in 1..10000 loop perform change_feed.emit('more'); end loop; end $$`);
    expect(await said()).toBe('since then, more than 10000 changes');
    await psql.query('analyze change_feed.change');
    expect(await said()).toBe('since then, about 10042 changes');
    await psql.end();
    await database.drop();
  });

  test('says nothing of an application or an actor without a name', async () => {
    await server.psql(`begin; set local change_feed.actor = 'Ada'; commit; set application_name = ''`);
    await server.psql(`insert into veranstaltung (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      values ('Kurs', '2027-05-01', '2027-05-02', '2027-01-01', '2027-04-01', 5, 0); set application_name = 'psql'`);
    const { rows } = await server.psql(`select state from change_feed.status where name = 'veranstaltung'`);
    expect(rows).toEqual([{ state: 'insert' }]);
  });

  test('a server that stops, or has not reported for 30 s, is not shown', async () => {
    const servers = async () =>
      (await server.psql(`select name from change_feed.status where what = 'server'`)).rows.map(({ name }) => name);
    const other = await server.another();
    await until(async () => (await servers()).includes(other.feed.instanceId));
    await other.stop();
    expect(await servers()).toEqual([server.feed.instanceId]);
    // Again where the server has reported meanwhile
    const silent = `update change_feed.server_report set reported_at = clock_timestamp() - interval '31 s'`;
    await until(async () => {
      await server.psql(silent);
      return (await servers()).length === 0;
    }, 'no server in change_feed.status');
    await until(async () => {
      await server.psql(silent);
      return (await status()).stdout.includes('none reports');
    }, 'no server in the command');
  });
});
