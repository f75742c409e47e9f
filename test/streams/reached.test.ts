import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { Reach } from '../../src/commands/reach.js';
import type { RunningServer } from '../../src/koa/server.js';
import { type EventStream, openStream } from '../event-stream.js';
import { RefusingPostgres } from '../refusing-postgres.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { createTestDatabase } from '../test-database.js';
import { until } from '../until.js';

// select * from change_feed.reached(): each of its answers, in psql.

/** A row of it. */
interface Row extends Omit<Reach, 'resource'> {
  readonly changed: string | null;
}

const REACHED = `select server, changed, has_read, subscribed::int, handed::int, behind::int, ms::float8, says
  from change_feed.reached`;

let server: TestServer;
let other: RunningServer;
const sessions: pg.Client[] = [];

beforeAll(async () => {
  server = await startTestServer();
  other = await server.another();
  await server.psql(`create table zimmer (id int primary key, n int); select change_feed.watch('zimmer');
    create table keller (id int primary key); insert into zimmer values (1, 0)`);
  await until(() => server.feed.leader.leading || other.feed.leader.leading, 'a leader');
});

afterAll(async () => {
  for (const session of sessions) await session.end();
  await server.stop();
});

const streams: EventStream[] = [];
let slow: Socket | undefined;

/** Opens a stream, of a server; it ends with the test. */
async function open(query: string, { url } = server as RunningServer): Promise<EventStream> {
  const stream = await openStream(`${url}/api/events?${query}`, { Authorization: `Bearer ${await server.token()}` });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  slow?.destroy();
  await until(() => server.manager.clientCount + other.manager.clientCount === 0, 'the streams to end');
});

async function ask(parameters = '', session?: pg.Client): Promise<Row[]> {
  const text = `${REACHED}(${parameters})`;
  return (session ? await session.query(text) : await server.psql(text)).rows;
}

/** Asks again until the first row says it. A server that has no CPU for a second does not answer in time. */
async function askUntil(says: RegExp, parameters = '', session?: pg.Client): Promise<Row[]> {
  let rows: Row[] = [];
  await until(
    async () => {
      rows = await ask(parameters, session);
      return says.test(rows[0]?.says ?? '');
    },
    () => `${says}, but: ${JSON.stringify(rows)}`,
  );
  return rows;
}

const session = async (url = server.database.url, application = 'psql') => {
  const client = new pg.Client({ connectionString: url, application_name: application });
  await client.connect();
  sessions.push(client);
  return client;
};

const change = () => server.psql('update zimmer set n = n + 1 where id = 1');
const idOf = ({ feed }: RunningServer) => feed.instanceId;

describe('the newest change of the session', () => {
  test('is named with the people who see it, on each server', async () => {
    for (const resources of ['*', 'zimmer', 'keller']) await open(`resources=${resources}`);
    await open('resources=zimmer', other);
    await change();
    const rows = await askUntil(/: 3 people see it$/);
    expect(rows[0]?.says).toMatch(/^update of zimmer via psql, \d+ s ago: 3 people see it$/);
    expect(rows[0]).toMatchObject({
      server: 'all',
      changed: 'zimmer',
      has_read: true,
      subscribed: 3,
      handed: 3,
      behind: 0,
    });
    const of = (id: string) => rows.find((row) => row.server === id);
    expect(of(idOf(server))).toMatchObject({ has_read: true, subscribed: 2, handed: 2, behind: 0 });
    expect(of(idOf(other))).toMatchObject({ has_read: true, subscribed: 1, handed: 1, behind: 0 });
    for (const { ms } of rows) expect(ms).toBeGreaterThanOrEqual(0);
    expect(rows[0]?.ms).toBe(Math.max(...rows.slice(1).map(({ ms }) => ms ?? 0)));
    expect(rows.map(({ says }) => says).filter((says) => says === 'leads')).toHaveLength(1);
  });

  test('nobody is subscribed', async () => {
    await change();
    const rows = await askUntil(/: nobody is subscribed$/);
    expect(rows[0]).toMatchObject({ changed: 'zimmer', has_read: true, subscribed: 0, handed: 0, behind: 0 });
  });

  test('a stream of two scopes that it changed counts once', async () => {
    await server.psql(`create table dachboden (id int primary key, haus int, etage int);
      select change_feed.watch('dachboden', scopes => '{haus, etage}')`);
    await open(`resources=${['dachboden?haus=7', 'dachboden?etage=2'].map(encodeURIComponent).join()}`);
    await server.psql('insert into dachboden values (1, 7, 2)');
    const [all] = await askUntil(/: 1 person sees it$/, `resource => 'dachboden'`);
    expect(all).toMatchObject({ subscribed: 1, handed: 1 });
  });

  test('of one transaction, each of its resources has a row', async () => {
    await open('resources=zimmer');
    await server.psql(`begin; update zimmer set n = n + 1; select change_feed.emit('hof'); commit`);
    const rows = await askUntil(/^several changes via psql, \d+ s ago: nobody is subscribed$/);
    const total = rows.filter((row) => row.server === 'all');
    expect(total.map(({ changed, handed }) => [changed, handed])).toEqual([
      ['hof', 0],
      ['zimmer', 1],
    ]);
  });

  test('another application has changed nothing: its table is not watched', async () => {
    const report = await session(server.database.url, 'report');
    await report.query('insert into keller values (1)');
    const rows = await ask('', report);
    expect(rows[0]?.says).toBe(
      'no change of report is among the last 10,000: what it wrote is not watched, or not committed',
    );
    expect(
      rows
        .slice(1)
        .map((row) => row.server)
        .sort(),
    ).toEqual([idOf(server), idOf(other)].sort());
  });

  test('is not committed', async () => {
    const open = await session();
    await open.query('begin; update zimmer set n = n + 1');
    const rows = await ask('', open);
    await open.query('rollback');
    expect(rows).toMatchObject([{ server: 'all', changed: 'zimmer', has_read: false }]);
    expect(rows[0]?.says).toMatch(
      /^update of zimmer via psql, 0 s ago: not committed, and nobody sees it before COMMIT$/,
    );
  });

  test('several sessions ask at once, and each has the answer of all servers', async () => {
    await change();
    const askers = await Promise.all([1, 2, 3, 4].map(() => session()));
    await until(async () => {
      const answers = await Promise.all(askers.map((asker) => ask('', asker)));
      return answers.every(([all]) => all?.says.endsWith(': nobody is subscribed'));
    });
  });
});

describe('a resource', () => {
  test('that is not watched', async () => {
    const [all] = await askUntil(/nobody is subscribed$/, `resource => 'keller'`);
    expect(all?.says).toBe(
      'keller is not watched, and no event of this name is among the last 10,000 changes: nobody is subscribed',
    );
  });

  test('that is watched and has not changed: who is subscribed now', async () => {
    await server.psql(`create table dach (id int primary key); select change_feed.watch('dach')`);
    await open('resources=dach');
    const [all] = await askUntil(/is subscribed$/, `resource => 'dach'`);
    expect(all?.says).toBe('no change of dach is among the last 10,000: 1 person is subscribed');
    expect(all).toMatchObject({ has_read: true, subscribed: 1, handed: null });
  });

  test('whose name needs more than letters', async () => {
    await open(`resources=${encodeURIComponent('Größe=1&"x"')}`);
    await server.psql('select change_feed.emit($1)', ['Größe=1&"x"']);
    await askUntil(/^emit of Größe=1&"x" via psql, \d+ s ago: 1 person sees it$/, `resource => 'Größe=1&"x"'`);
  });
});

describe('a position', () => {
  test('that all servers have read', async () => {
    await change();
    const { rows } = await server.psql('select change_feed.position() as position');
    await server.psql(`select change_feed.emit('spaeter')`);
    const [all] = await askUntil(/nobody is subscribed$/, `'${rows[0].position}'`);
    expect(all).toMatchObject({ changed: 'zimmer', has_read: true });
  });

  test.each([
    ['malformed', `'gestern'`, /gestern.* is no position/],
    ['of an epoch that has ended', `'0123456789ab.3:3:'`, /is of an epoch that has ended/],
  ])('%s is refused', async (_name, parameter, message) => {
    await expect(ask(parameter)).rejects.toThrow(message);
  });
});

describe('where it cannot answer it says so', () => {
  test.each([
    ['repeatable read', /isolation level repeatable read/],
    ['serializable', /isolation level serializable/],
    ['read committed read only', /read-only transaction/],
  ])('%s', async (level, message) => {
    const asker = await session();
    await asker.query(`begin isolation level ${level}`);
    await expect(ask('', asker)).rejects.toThrow(message);
    await asker.query('rollback');
  });

  test('a plain user may not ask, nor answer', async () => {
    const plain = await session();
    await plain.query(`do $$ begin create role neugier; exception when duplicate_object then null; end $$;
      grant usage on schema change_feed to neugier; set role neugier`);
    for (const call of [
      'reached()',
      'ask_servers()',
      `find_change(null, null, null)`,
      `reach(1, null, '{}')`,
      `answer_question('x', 1, '{}')`,
      `open_question('x')`,
    ])
      await expect(plain.query(`select * from change_feed.${call}`)).rejects.toThrow('permission denied');
    await expect(plain.query('select * from change_feed.server_answer')).rejects.toThrow('permission denied');
    await expect(plain.query('select * from change_feed.question')).rejects.toThrow('permission denied');
    await plain.query('reset role; revoke usage on schema change_feed from neugier');
  });
});

describe('no server runs', () => {
  test('is what it says', async () => {
    const database = await createTestDatabase();
    const psql = await session(database.url);
    await psql.query(`select change_feed.emit('einsam')`);
    const rows = await ask('', psql);
    expect(rows).toMatchObject([{ server: 'all', has_read: null }]);
    expect(rows[0]?.says).toMatch(/^emit of einsam via psql, \d+ s ago: no server runs$/);
    await psql.end();
    sessions.splice(sessions.indexOf(psql), 1);
    await database.drop();
  });
});

describe('a server with a fault', () => {
  let door: RefusingPostgres;
  let faulty: RunningServer;

  beforeEach(async () => {
    door = await RefusingPostgres.before(server.database.url);
    faulty = await server.another({ databaseUrl: door.url });
  });

  afterEach(async () => {
    await door.relent();
    await faulty.stop();
    // It may have found no connection to say that it is gone.
    await server.psql('delete from change_feed.server_report where id = $1', [idOf(faulty)]);
    await door.close();
  });

  test('is named when it does not answer', async () => {
    await until(() => !faulty.feed.leader.leading, 'another leader');
    await door.refuse('mute');
    await change();
    const rows = await askUntil(/does not answer$/);
    expect(rows[0]?.says).toMatch(
      new RegExp(`: the server ${idOf(faulty)} \\([^ ]+:${process.pid}\\) does not answer$`),
    );
    expect(rows.find((row) => row.server === idOf(faulty))).toMatchObject({ has_read: false, subscribed: null });
  });

  test('is deaf, and sends all the same', async () => {
    await door.refuse({ error: '42501', message: 'no LISTEN today', statement: /\bLISTEN\b/i });
    await until(() => !faulty.feed.health.listener, 'the server to be deaf');
    await open('resources=zimmer', faulty);
    await change();
    const rows = await askUntil(/1 person sees it; the server \w+ is deaf$/);
    expect(rows[0]?.says).toContain(`the server ${idOf(faulty)} is deaf`);
    expect(rows.find((row) => row.server === idOf(faulty))?.says).toMatch(/deaf: no notification arrives/);
  });

  test('still reads', async () => {
    await until(() => !faulty.feed.leader.leading, 'another leader');
    await door.refuse({ error: '57014', message: 'no reads today', statement: /from change_feed\.change|\bread\b/ });
    await change();
    const rows = await askUntil(/has not read it yet$/);
    expect(rows[0]?.says).toContain(`the server ${idOf(faulty)} has not read it yet`);
    expect(rows.find((row) => row.server === idOf(faulty))).toMatchObject({ has_read: false });
    expect(rows.find((row) => row.server === idOf(faulty))?.says).toMatch(/can not read the log|still reading/);
  });
});

test('a stream that does not read is behind, and not counted among those who see it', async () => {
  await open('resources=zimmer');
  slow = await slowReader();
  await until(async () => {
    await server.psql('select change_feed.emit($1, $2)', ['zimmer', JSON.stringify('x'.repeat(60_000))]);
    return [...server.manager.clients()].some((client) => client.isFull);
  }, 'a full socket');
  await change();
  const [all] = await askUntil(/1 person sees it/);
  expect(all?.says).toMatch(/: 1 person sees it; 1 person reads too slowly, and sees it later$/);
  expect(all).toMatchObject({ subscribed: 2, handed: 1, behind: 1 });
});

test('what was sent longer ago than a server remembers is not made up', async () => {
  await change();
  const { rows } = await server.psql('select change_feed.position() as position');
  const late = await server.another();
  const answer = await askUntil(/sent longer ago than the servers remember$/, `'${rows[0].position}'`);
  expect(answer.find((row) => row.server === idOf(late))).toMatchObject({ has_read: true, handed: null });
  expect(answer.find((row) => row.server === idOf(server))).toMatchObject({ has_read: true, handed: 0 });
  await late.stop();
});

test('an answer is emptied when it has been used', async () => {
  await askUntil(/./);
  const { rows } = await server.psql(`select state from change_feed.server_answer where state ->> 'epoch' is not null`);
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toMatch(/zimmer|psql|ada/);
  await until(async () => {
    const { rows } = await server.psql(`select from change_feed.server_answer where state <> '{}'`);
    return rows.length === 0;
  }, 'empty answers');
});

test('no server writes an answer unless it was asked, whoever notifies', async () => {
  const answers = async () =>
    (await server.psql('select server, question, at from change_feed.server_answer order by server')).rows;
  await until(
    async () => (await server.psql(`select from change_feed.server_answer where state <> '{}'`)).rowCount === 0,
  );
  const before = await answers();
  for (let i = 0; i < 20; i += 1) await server.psql(`select pg_notify('change_feed', 'reached')`);
  await change();
  await delay(1000);
  expect(await answers()).toEqual(before);
});

/** Opens a stream over a socket that is never read. */
async function slowReader(): Promise<Socket> {
  const { hostname, port } = new URL(server.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.pause();
  socket.on('error', () => {});
  socket.write(
    `GET /api/events?resources=zimmer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token({ sub: 'slow' })}\r\n\r\n`,
  );
  await until(() => [...server.manager.clients()].some(({ subject }) => subject === 'slow'), 'the slow stream');
  return socket;
}
