import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { epochId } from '../../../src/feed/log/epochs.js';
import { CHANNEL } from '../../../src/feed/notify/listener.js';
import { decodeMessage } from '../../../src/feed/notify/message.js';
import { open, sealedMessageOf } from '../../../src/feed/notify/sealed-message.js';
import { startTestServer, type TestServer } from '../../running-server.js';
import { until } from '../../until.js';

let server: TestServer;
let witness: pg.Client;
let rings: string[];

beforeEach(async () => {
  // Periodic reads are off: each change that arrives was rung for, or read by a lead that was awake.
  server = await startTestServer({ readIntervalMs: 0 });
  await server.psql(`create table zaehler (id int primary key); select change_feed.watch('zaehler')`);
  rings = [];
  witness = await session();
  witness.on('notification', ({ payload = '' }) => rings.push(payload));
  await witness.query('listen change_feed');
  await until(isIdle, 'the leader to be idle');
});

afterEach(async () => {
  await witness.end();
  await server.stop();
});

async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: server.database.url });
  client.on('error', () => {});
  await client.connect();
  return client;
}

const isIdle = async () =>
  (await server.psql('select is_called from change_feed.leader_idle')).rows[0].is_called === true;
const leadPid = async () =>
  (await server.psql('select pid from change_feed.current_leader')).rows[0]?.pid as number | undefined;

/** Keeps the leader from being idle: it receives no notifications. */
async function keepBusy(): Promise<{ end(): Promise<void> }> {
  const query = pg.Client.prototype.query;
  const failing = jest.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
    this: pg.Client,
    ...args: unknown[]
  ) {
    if (String(args[0]).startsWith('LISTEN')) return Promise.reject(new Error('not now'));
    return (query as (...all: unknown[]) => unknown).apply(this, args);
  } as typeof query);
  await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'pg-change-feed listener'`);
  await until(() => !server.feed.health.listener, 'the leader to receive nothing');
  await until(async () => !(await isIdle()), 'the leader to be awake');
  return {
    end: async () => {
      failing.mockRestore();
      await until(() => server.feed.health.listener, 'listening again');
    },
  };
}

let lastKey = 0;
const insert = async (client?: pg.Client) => {
  lastKey += 1;
  const key = lastKey;
  if (client) await client.query('insert into zaehler values ($1)', [key]);
  else await server.psql('insert into zaehler values ($1)', [key]);
  return key;
};

/** What the writers have rung, all of it being there: a notification of our own came after. */
async function ringsOfWriters(): Promise<string[]> {
  const last = `witness ${Math.random()}`;
  await witness.query('select pg_notify($1, $2)', ['change_feed', last]);
  await until(() => rings.includes(last));
  return rings.filter((payload) => payload === '');
}

describe('a writer', () => {
  test('rings for a lead that sleeps', async () => {
    await insert();
    expect(await ringsOfWriters()).toEqual(['']);
  });

  test('does not ring for one that is awake, and is heard all the same', async () => {
    const stream = await server.stream('resources=zaehler');
    await stream.clientId();
    const awake = await keepBusy();
    await ringsOfWriters(); // those of before have all come
    rings.length = 0;
    const keys = [await insert(), await insert(), await insert()];
    await until(() => keys.every((key) => stream.events.some(({ data }) => data.keys?.[0] === key)));
    expect(await ringsOfWriters()).toEqual([]);
    await awake.end();
    await until(isIdle, 'the leader to be idle again');
    stream.close();
  });

  test('at full speed finds the lead awake, commit after commit', async () => {
    const writer = await session();
    const writeUntil = (last: number) =>
      writer.query(`do $$ begin
        for key in (select coalesce(max(id), 0) + 1 from zaehler) .. ${last} loop
          insert into zaehler values (key);
          commit;
        end loop;
      end $$`);
    await writeUntil(1000); // wakes it
    await ringsOfWriters();
    rings.length = 0;
    await writeUntil(10_000);
    // None, unless the machine leaves the writer no time. Were the leader idle between two commits, those that follow would
    // notify until it is awake again: over 2,000.
    expect((await ringsOfWriters()).length).toBeLessThan(500);
    await writer.end();
    await until(isIdle, 'the leader to be idle again');
  });

  test('that asked while the lead was awake, and commits in its sleep, is heard all the same', async () => {
    const stream = await server.stream('resources=zaehler');
    await stream.clientId();
    const heard = (key: number) => stream.next(({ data }) => data.keys?.[0] === key);
    const sleeps = () => until(() => server.feed.leader.idle, 'the leader to be idle again');
    const awake = await keepBusy();
    const writers = await Promise.all([1, 2, 3].map(session));
    const keys: number[] = [];
    for (const writer of writers) {
      await writer.query('begin');
      keys.push(await insert(writer));
    }
    const [first, second, third] = keys as [number, number, number];
    const rung = await ringsOfWriters();
    await awake.end();
    await sleeps();
    await writers[0]?.query('commit');
    await heard(first);
    await writers[1]?.query('commit');
    await heard(second);
    expect(await ringsOfWriters()).toEqual(rung);
    // Who did not ask before rings, once the leader is idle again
    await until(async () => {
      await sleeps();
      await heard(await insert());
      return rings.filter((payload) => payload === '').length > rung.length;
    }, 'its ring');
    await sleeps();
    await writers[2]?.query('commit');
    await heard(third);
    for (const writer of writers) await writer.end();
    stream.close();
  });

  test('never rings where no server runs, also when it went in its sleep', async () => {
    await server.feed.stop();
    await ringsOfWriters();
    rings.length = 0;
    await insert();
    expect((await server.psql('table change_feed.pending_notification')).rows).toEqual([]);
    await server.psql(`select setval('change_feed.leader_idle', extract(epoch from clock_timestamp())::bigint - 31)`);
    await insert();
    await insert();
    expect(await ringsOfWriters()).toEqual([]);
    expect((await server.psql('table change_feed.pending_notification')).rowCount).toBe(1);
  });
});

test('no wake-up is lost: each of many writes is heard, whichever moment it meets', async () => {
  const other = await server.another();
  const streams = await Promise.all(
    [server.url, other.url].map(async (url) => {
      const { openStream } = await import('../../event-stream.js');
      return openStream(`${url}/api/events?resources=zaehler`, { Authorization: `Bearer ${await server.token()}` });
    }),
  );
  for (const stream of streams) await stream.clientId();
  const heard = streams.map(() => new Set<number>());
  const writers = await Promise.all([1, 2, 3].map(session));
  await Promise.all(
    writers.map(async (writer) => {
      for (let i = 0; i < 150; i += 1) {
        const key = await insert(writer);
        // Waited for: were its wake-up lost, nothing else would wake them once all three wait.
        await until(() => {
          streams.forEach((stream, n) => {
            for (const { data } of stream.events.splice(0)) for (const each of data.keys ?? []) heard[n]?.add(each);
          });
          return heard.every((keys) => keys.has(key));
        }, `change ${key}`);
        await delay(Math.random() * 15);
      }
    }),
  );
  for (const writer of writers) await writer.end();
  for (const stream of streams) stream.close();
});

describe('a lead', () => {
  test('that dies idle is followed by another, and nothing is lost', async () => {
    const other = await server.another();
    const stream = await server.stream('resources=zaehler');
    await stream.clientId();
    const dead = await leadPid();
    await server.psql('select pg_terminate_backend($1)', [dead]);
    const key = await insert();
    await stream.next(({ data }) => data.keys?.[0] === key);
    await until(async () => ![undefined, dead].includes(await leadPid()), 'another lead');
    await until(isIdle);
    expect(other.feed.health.listener).toBe(true);
  });

  test('that hangs idle does not hold up anybody: Postgres ends its session, and another leads', async () => {
    const holder = await session();
    // As a process that was stopped: its session stays, and says nothing any more.
    await holder.query(`set idle_session_timeout = '3s'`);
    const { rows } = await holder.query('select pg_backend_pid() as pid');
    await until(async () => {
      await server.psql('select pg_terminate_backend(pid) from change_feed.current_leader');
      return (await holder.query('select change_feed.lead() as leads')).rows[0].leads;
    }, 'the lead');
    await holder.query('select change_feed.begin_idle()');
    const stream = await server.stream('resources=zaehler');
    await stream.clientId();
    const key = await insert();
    await stream.next(({ data }) => data.keys?.[0] === key);
    expect(await leadPid()).toBe(rows[0].pid);
    await until(async () => ![undefined, rows[0].pid].includes(await leadPid()), 'another lead');
    await until(isIdle, 'the new leader to be idle');
  });

  test('that is stopped hands over at once', async () => {
    const other = await server.another();
    const first = await leadPid();
    const { rows } = await server.psql('select key from change_feed.message_key');
    await server.feed.stop();
    const epoch = epochId(other.feed.position);
    const farewell = () =>
      rings.some((payload) => {
        const sealed = sealedMessageOf(payload);
        const bound = { channel: CHANNEL, epoch, pid: first ?? 0 };
        return sealed && decodeMessage(open(sealed, rows[0].key, bound), epoch).kind === 'vacant';
      });
    await until(farewell, 'the message that nobody leads');
    await until(async () => ![undefined, first].includes(await leadPid()), 'another lead');
    const { openStream } = await import('../../event-stream.js');
    const stream = await openStream(`${other.url}/api/events?resources=zaehler`, {
      Authorization: `Bearer ${await server.token()}`,
    });
    await stream.clientId();
    const key = await insert();
    await stream.next(({ data }) => data.keys?.[0] === key);
    stream.close();
  });
});
