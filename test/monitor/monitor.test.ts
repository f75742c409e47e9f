import { connect, type Socket } from 'node:net';
import { afterEach, beforeAll, expect, test } from '@jest/globals';
import type { RunningServer } from '../../src/koa/server.js';
import type {
  HistoryAnswer,
  MonitorState,
  ShownChange,
  ShownChanges,
  StreamList,
  TablesReport,
  TestReport,
} from '../../src/monitor/report.js';
import { type EventStream, openStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// What the monitor shows, over two servers on one database.

const server = useTestServer({ monitor: true });
let other: RunningServer;
let admin: Record<string, string>;

beforeAll(async () => {
  other = await server.another();
  await server.psql(`create table zimmer (id int primary key, haus int, geheim text);
    select change_feed.watch('zimmer', scopes => '{haus}');
    create table keller (id int primary key)`);
  admin = { Authorization: `Bearer ${await server.token({ sub: 'admin', monitor: true })}` };
  await until(() => server.feed.leader.leading || other.feed.leader.leading, 'a leader');
});

const streams: EventStream[] = [];
let slow: Socket | undefined;

afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close();
  slow?.destroy();
  await until(() => server.manager.clientCount + other.manager.clientCount === 0, 'the streams to end');
});

async function openPage({ url } = server as RunningServer): Promise<EventStream> {
  const page = await openStream(`${url}/api/monitor/events`, admin);
  streams.push(page);
  return page;
}

async function openReader(query: string, sub = 'ada', { url } = server as RunningServer): Promise<EventStream> {
  const token = await server.token({ sub });
  const stream = await openStream(`${url}/api/events?${query}`, { Authorization: `Bearer ${token}` });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

async function get<Answer>(path: string, { url } = server as RunningServer): Promise<Answer> {
  const response = await fetch(`${url}/api/monitor/${path}`, { headers: admin });
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as Answer;
}

async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const response = await fetch(`${server.url}/api/monitor/${path}`, {
    method: 'POST',
    headers: { ...admin, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as Answer;
}

/** Waits for a state that the page is told. */
async function stateOf(page: EventStream, fits: (state: MonitorState) => boolean): Promise<MonitorState> {
  let last: MonitorState | undefined;
  await until(
    () => {
      last = page.events.findLast(({ event }) => event === 'state')?.data;
      return last !== undefined && fits(last);
    },
    () => `such a state, but: ${JSON.stringify(last)}`,
  );
  return last as MonitorState;
}

async function shownChanges(page: EventStream, fits: (change: ShownChange) => boolean): Promise<ShownChange[]> {
  const all = () =>
    page.events.flatMap(({ event, data }) => (event === 'changes' ? [...(data as ShownChanges).changes] : []));
  await until(
    () => all().some(fits),
    () => `such a change, but: ${JSON.stringify(all())}`,
  );
  return all();
}

test('shows each change with its keys, scopes and writer, and nothing of its row', async () => {
  const page = await openPage();
  await openReader('resources=zimmer');
  await openReader('resources=zimmer?haus=7');
  await server.psql(`insert into zimmer values (1, 7, 'streng geheim')`);
  await server.psql(`select change_feed.emit('zimmer', '{"auch": "geheim"}')`);
  const changes = await shownChanges(page, ({ operation }) => operation === 'emit');
  expect(changes[0]).toEqual({
    resource: 'zimmer',
    operation: 'insert',
    keys: '[1]',
    scopes: expect.stringMatching(/^\{"haus": ?\{ ?"7": ?\[1\]\}\}$/),
    application: 'psql',
    xid: expect.stringMatching(/^\d+$/),
    agoMs: expect.any(Number),
    lagMs: expect.any(Number),
    streams: 2,
    behind: 0,
  });
  expect(Buffer.concat(page.received).toString()).not.toContain('geheim');
});

test('says of more changes than a page can show how many there were', async () => {
  const page = await openPage();
  await shownHello(page);
  await server.psql('insert into zimmer select n, n from generate_series(1000, 1099) n');
  for (let round = 0; round < 3; round += 1) {
    const single = Array.from({ length: 80 }, (_, n) => `update zimmer set haus = ${n} where id = ${1000 + n};`);
    await server.psql(single.join('\n'));
  }
  const counted = () =>
    page.events
      .filter(({ event }) => event === 'changes')
      .reduce((sum, { data: { changes, skipped } }: { data: ShownChanges }) => {
        return sum + skipped + changes.reduce((all, { count = 1 }) => all + count, 0);
      }, 0);
  await until(
    () => counted() === 241,
    () => `241 changes, but ${counted()}`,
  );
});

async function shownHello(page: EventStream): Promise<void> {
  await page.next(({ event }) => event === 'hello');
}

test('shows all servers, which of them leads, and their delay', async () => {
  await openReader('resources=zimmer', 'ada', other);
  const page = await openPage();
  await server.psql('insert into zimmer values (2, 7)');
  const state = await stateOf(
    page,
    ({ servers }) => servers.length === 2 && servers.every((each) => each.state?.lagMs),
  );
  const [self, peer] = state.servers;
  expect(self).toMatchObject({
    id: server.feed.instanceId,
    self: true,
    answer: 'ok',
    place: expect.stringContaining(':'),
  });
  expect(peer).toMatchObject({
    id: other.feed.instanceId,
    self: false,
    answer: 'ok',
    state: { streams: 1, listening: true },
  });
  expect(state.servers.filter((each) => each.state?.leading)).toHaveLength(1);
  await stateOf(page, ({ log }) => log !== null && log.bytes > 0 && log.retentionS === 86_400);
});

test('remembers changes and delays for an hour, also of the other server', async () => {
  await server.psql('insert into zimmer values (3, 7); insert into zimmer values (4, 7)');
  let history: HistoryAnswer | undefined;
  const sumOf = (counts: readonly number[] = []) => counts.reduce((sum, count) => sum + count, 0);
  await until(
    async () => {
      history = await get<HistoryAnswer>('history');
      return history.servers.length === 2 && history.servers.every((each) => sumOf(each.history.resources.zimmer) >= 2);
    },
    () => `both histories, but: ${JSON.stringify(history)}`,
  );
  for (const { history: each } of history?.servers ?? []) {
    expect(each.resources.zimmer).toHaveLength(each.buckets);
    expect(each.most.some((ms) => ms !== null)).toBe(true);
    expect(each.endAgoMs).toBeLessThan(6000);
  }
  const [last] = (await get<HistoryAnswer>('history?last=1')).servers;
  expect(last?.history.buckets).toBe(1);
});

test('lists the streams of all servers, by subject and resource, those that are behind first', async () => {
  await openReader('resources=zimmer', 'ada');
  await openReader('resources=keller', 'grace', other);
  await openReader('resources=zimmer?haus=9', 'linus', other);
  expect((await get<StreamList>('streams')).total).toBe(3);
  const { streams: found } = await get<StreamList>('streams?search=HAUS');
  expect(found).toMatchObject([
    { subject: 'linus', topics: 'zimmer?haus=9', server: other.feed.instanceId, full: false },
  ]);
  const page = await openPage();
  slow = await openSlowReader();
  await stateOf(page, ({ servers }) => servers[0]?.state?.behind === 1);
  const { streams: all } = await get<StreamList>('streams');
  expect(all[0]).toMatchObject({ subject: 'slow', full: true });
});

/** Opens a stream that is not read, and fills it. */
async function openSlowReader(): Promise<Socket> {
  const { port } = new URL(server.url);
  const socket = connect(Number(port), '127.0.0.1');
  const token = await server.token({ sub: 'slow' });
  socket.write(`GET /api/events?resources=* HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  socket.pause();
  const data = JSON.stringify({ filling: 'x'.repeat(60_000) });
  const isFull = () => [...server.manager.clients()].some((client) => client.subject === 'slow' && client.isFull);
  // One at a time: of many at once a stream receives that something changed, which fills nothing.
  await until(async () => {
    const { position } = server.feed;
    await server.psql(`select change_feed.emit('voll', '${data}')`);
    await until(() => server.feed.position !== position, 'the read');
    return isFull();
  }, 'its socket to be full');
  return socket;
}

test('ends one stream, at the other server too, and all of a subject', async () => {
  const [first, second, third] = [
    await openReader('resources=zimmer', 'ada', other),
    await openReader('resources=zimmer', 'ada', other),
    await openReader('resources=zimmer', 'ada'),
  ];
  const client = await first.clientId();
  expect(await post('end', { client, subject: 'grace' })).toEqual({ ended: false });
  expect(await post('end', { client, subject: 'ada' })).toEqual({ ended: true });
  await until(() => first.ended(), 'its end');
  expect(first.events.at(-1)?.event).toBe('revoked');
  expect(second.ended()).toBe(false);
  expect(await post('end', { subject: 'ada' })).toEqual({ ended: true });
  await until(() => second.ended() && third.ended(), 'the ends of the others');
});

test('lists the watched tables, with the faults that the doctor finds and the cure of each', async () => {
  await server.psql('alter table zimmer disable trigger change_feed_update');
  try {
    const { tables, findings } = await get<TablesReport>('tables?anew=1');
    expect(tables).toContainEqual(expect.objectContaining({ resource: 'zimmer', keys: true, scopes: ['haus'] }));
    expect(findings).toContainEqual(
      expect.objectContaining({
        level: 'fail',
        about: 'triggers of zimmer',
        cure: expect.stringMatching(/^select change_feed.watch\('zimmer'/),
      }),
    );
  } finally {
    await server.psql(`select change_feed.watch('zimmer', scopes => '{haus}')`);
  }
});

test('makes a test event, and follows it through all servers', async () => {
  await openReader('resources=probe', 'ada', other);
  const report = await post<TestReport>('test', { resource: 'probe' });
  expect(report.missing).toEqual([]);
  expect(report.servers).toHaveLength(2);
  for (const { server: id, notifiedMs, readMs, handedMs, streams: sent } of report.servers) {
    expect(sent).toBe(id === other.feed.instanceId ? 1 : 0);
    expect(handedMs).toBeGreaterThanOrEqual(readMs);
    if (notifiedMs !== null) expect(readMs).toBeGreaterThan(notifiedMs);
  }
});
