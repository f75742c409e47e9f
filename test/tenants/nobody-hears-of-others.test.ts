import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { hasSeen } from '../../src/feed/log/position.js';
import type { RunningServer } from '../../src/koa/server.js';
import { parseTopic } from '../../src/scope.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';
import { type TenantTransaction, type TwofoldHistory, twofoldHistory } from './history.js';
import { Listener } from './listener.js';
import { baseData, IN_ORDER_OF_KEYS, OTHER_TENANTS, TABLES } from './tables.js';

// Nobody hears of others. Random histories of many tenants run twice, with other rows for the others: the streams of the own
// tenants are the same, byte for byte. And each of their changes arrives, with its key, also after a pause and an absence.

/** The scopes that somebody follows, and whether by `*`. */
const FOLLOWED: readonly (readonly string[])[] = [
  ['rechnung?mandant_id=7', 'posten?mandant_id=7'],
  ['rechnung?mandant_id=7', 'rechnung?mandant_id=8', 'posten?mandant_id=8'],
  ['rechnung?mandant_id=7&projekt_id=1', 'rechnung?mandant_id=8&projekt_id=0'],
];
/** Shows that a stream has all that came before it. */
const FENCE = 'zaun?x=1';
/** The topic that fills the stream of one that does not read, and reaches no other. */
const FILLING = 'fuellung?x=1';

let server: TestServer;
let servers: readonly RunningServer[];
let fences = 0;
const listeners: Listener[] = [];

beforeAll(async () => {
  server = await startTestServer();
  await server.psql(TABLES);
  await server.psql(IN_ORDER_OF_KEYS);
  // One that keeps no changes in memory, and so replays from the log
  servers = [server, await server.another({ recentChanges: 0 })];
});

afterAll(async () => {
  for (const listener of listeners) listener.close();
  await server.stop();
});

interface Opened {
  readonly topics: readonly string[];
  readonly listener: Listener;
}

async function open(
  topics: readonly string[],
  at: RunningServer,
  { since, every = false } = {} as { since?: string | undefined; every?: boolean },
): Promise<Opened> {
  const token = await server.token({ resources: [...topics, FENCE] });
  const listener = await Listener.open({
    url: at.url,
    token,
    topics: every ? ['*'] : [...topics, FENCE],
    ...(since !== undefined && { since }),
  });
  listeners.push(listener);
  return { topics, listener };
}

/** Waits until all have what has committed so far. */
async function reached(opened: readonly Opened[]): Promise<void> {
  fences += 1;
  const number = fences;
  await server.psql(`select change_feed.emit('zaun', $1, '{"x": 1}')`, [number]);
  const has = ({ listener: { events } }: Opened) =>
    events.some(({ data }) => data.resource === 'zaun' && (data.data === number || data.data === undefined));
  await until(() => opened.every(has), 'the fence');
}

/** Commits, and waits until each server has read it. */
async function commitAndRead(): Promise<void> {
  // Of a transaction that changes nothing, no server would hear.
  const { rows } = await server.psql(`select change_feed.emit('ende'), pg_current_xact_id()::text as xid`);
  await server.psql('commit');
  await until(() => servers.every(({ feed }) => hasSeen(feed.position, BigInt(rows[0].xid))), 'the read');
}

/** Runs a transaction, and waits until each server has read it: so one read has one transaction, in both histories. */
async function run({ statements, end }: TenantTransaction): Promise<void> {
  await server.psql('begin');
  for (const statement of statements) {
    // One that fails is undone with its savepoint.
    await server.psql(statement).catch(() => server.psql('rollback to anweisung'));
  }
  await (end === 'commit' ? commitAndRead() : server.psql(end));
}

/** The keys of all rows that changed in a scope, by triggers that know nothing of the feed. */
async function changedIn(topic: string): Promise<ReadonlySet<number>> {
  const { resource, scope = {} } = parseTopic(topic);
  const { rows } = await server.psql(
    `select distinct nr from protokoll where tabelle = $1 and mandant_id = $2 and ($3::int is null or projekt_id = $3)`,
    [resource, scope.mandant_id, scope.projekt_id ?? null],
  );
  return new Set(rows.map(({ nr }) => nr));
}

/** Each change of a scope has arrived, and no key of another. */
async function expectWhole({ topics, listener }: Opened): Promise<void> {
  for (const topic of topics) {
    const changed = await changedIn(topic);
    const { keys, anything } = listener.told(topic);
    for (const key of keys) expect({ topic, key, own: changed.has(key) }).toEqual({ topic, key, own: true });
    if (!anything) expect({ topic, keys: [...keys].sort() }).toEqual({ topic, keys: [...changed].sort() });
  }
}

/** Stops to read until the server has changes for it that it does not take. */
async function stall({ listener }: Opened, at: RunningServer): Promise<void> {
  listener.pause();
  const isBehind = () => [...at.manager.clients()].some(({ behind }) => behind > 0);
  while (!isBehind()) {
    await server.psql('begin');
    await server.psql(`select change_feed.emit('fuellung', to_jsonb(repeat('x', 60000)), '{"x": 1}')`);
    // One by one: many in one read would be summed up, without their data.
    await commitAndRead();
  }
}

/** Runs one history. @returns the bytes of each stream that was open all the time, and of those that resume after it. */
async function bytesOf(history: readonly TenantTransaction[], seed: number, awayFrom: number): Promise<string[]> {
  await server.psql('begin');
  await server.psql(baseData((id) => OTHER_TENANTS[(id + seed) % OTHER_TENANTS.length] as number));
  await commitAndRead();
  const live: Opened[] = [];
  for (const [i, topics] of FOLLOWED.entries()) {
    live.push(await open(topics, servers[i % 2] as RunningServer));
    live.push(await open(topics, servers[(i + 1) % 2] as RunningServer, { every: true }));
  }
  await reached(live);
  const [topics = []] = FOLLOWED;
  const slow = { ...(await open([...topics, FILLING], server)), topics };
  await stall(slow, server);
  const begun = live[0]?.listener.position;
  const from = live.map(({ listener }) => listener.bytes.length);

  let away: string | undefined;
  for (const [i, transaction] of history.entries()) {
    if (i === awayFrom % history.length) away = await server.feed.currentPosition();
    await run(transaction);
  }
  slow.listener.resume();
  const resumed: Opened[] = [];
  for (const at of servers) {
    for (const topics of FOLLOWED) {
      resumed.push(await open(topics, at, { since: begun }));
      // Of one that leaves in between, it is known what it may receive alone.
      const late = await open(topics, at, { since: away });
      await reached([late]);
      for (const topic of topics) {
        const changed = await changedIn(topic);
        for (const key of late.listener.told(topic).keys) expect(changed.has(key)).toBe(true);
      }
      late.listener.close();
    }
  }
  const all = [...live, ...resumed, slow];
  await reached(all);
  for (const each of all) await expectWhole(each);
  const bytes = [
    ...live.map(({ listener }, i) => listener.bytes.slice(from[i])),
    ...resumed.map(({ listener }) => listener.bytes),
  ];
  for (const { listener } of all) listener.close();
  // The number of the fence is the test's.
  return bytes.map((text) => text.replace(/("resource":"zaun".*"data":)\d+/g, '$1'));
}

test('a stream is the same, byte for byte, whatever other tenants do', async () => {
  await fc.assert(
    fc.asyncProperty(twofoldHistory, fc.nat(10), async ([one, other]: TwofoldHistory, awayFrom) => {
      const first = await bytesOf(one, 0, awayFrom);
      const second = await bytesOf(other, 1, awayFrom);
      for (const [i, bytes] of first.entries()) expect(second[i]).toBe(bytes);
    }),
    { numRuns: Number(process.env.RUNS ?? 6), endOnFailure: true },
  );
});
