import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import type { Reading } from '../../src/feed/log/reading.js';
import type { Client } from '../../src/streams/client.js';
import type { EventStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

let server: TestServer;

beforeAll(async () => {
  // Each resumes from the log; from memory: resume-from-memory.test.ts
  server = await startTestServer({ recentChanges: 0 });
  await server.psql(`
    create table zaehler (id int primary key, stand int);
    create table andere (id int primary key);
    select change_feed.watch('zaehler'), change_feed.watch('andere')`);
});

afterAll(() => server.stop());

let lastKey = 0;

/** Inserts rows, one statement each, and returns their keys. */
async function insert(count = 1, table = 'zaehler'): Promise<number[]> {
  const keys = Array.from({ length: count }, () => ++lastKey);
  for (const key of keys) await server.psql(`insert into ${table} (id) values ($1)`, [key]);
  return keys;
}

function keysOf(stream: EventStream): unknown[] {
  return stream.events.flatMap(({ data }) => data.keys ?? []);
}

async function resumeFrom(lastEventId: string | undefined, query = 'resources=zaehler'): Promise<EventStream> {
  return server.stream(query, lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId });
}

describe('a client that was away', () => {
  test('gets what it missed, in order, and then what is new', async () => {
    const first = await server.stream('resources=zaehler');
    const [seen] = await insert();
    await until(() => keysOf(first).includes(seen));
    first.close();
    const missed = await insert(3);

    const second = await resumeFrom(first.lastEventId());
    expect((await second.next(({ event }) => event === 'connected')).data.resumed).toBe(true);
    const later = await insert();
    await until(() => keysOf(second).includes(later[0]));
    expect(keysOf(second)).toEqual([...missed, ...later]);
  });

  test('gets it at another server, too', async () => {
    const first = await server.stream('resources=zaehler');
    await first.clientId();
    first.close();
    const missed = await insert(2);
    const other = await server.another();
    const response = await fetch(`${other.url}/api/events?resources=zaehler`, {
      headers: { Authorization: `Bearer ${await server.token()}`, 'Last-Event-ID': first.lastEventId() ?? '' },
    });
    const reader = response.body?.getReader();
    let text = '';
    await until(async () => {
      text += Buffer.from((await reader?.read())?.value ?? []).toString();
      return text.includes(`"keys":[${missed[1]}]`);
    });
    expect(text).toContain(`"keys":[${missed[0]}]`);
    await reader?.cancel();
  });

  test('gets an early write that committed late', async () => {
    const writer = new pg.Client({ connectionString: server.database.url });
    await writer.connect();
    await writer.query('begin');
    lastKey += 1;
    const early = lastKey;
    await writer.query('insert into zaehler (id) values ($1)', [early]);

    const first = await server.stream('resources=zaehler');
    const [late] = await insert();
    await until(() => keysOf(first).includes(late));
    first.close();
    await writer.query('commit');
    await writer.end();

    const second = await resumeFrom(first.lastEventId());
    await until(() => keysOf(second).length > 0);
    expect(keysOf(second)).toEqual([early]);
  });

  test('with `?lastEventId=`; the header wins, for a repeated URL carries a stale one', async () => {
    const first = await server.stream('resources=zaehler');
    await first.clientId();
    const stale = first.lastEventId() ?? '';
    const [one] = await insert();
    await until(() => keysOf(first).includes(one));
    const [two] = await insert();
    await until(() => keysOf(first).includes(two));
    first.close();

    const byQuery = await resumeFrom(undefined, `resources=zaehler&lastEventId=${encodeURIComponent(stale)}`);
    await until(() => keysOf(byQuery).length === 2);
    const byHeader = await resumeFrom(
      first.lastEventId(),
      `resources=zaehler&lastEventId=${encodeURIComponent(stale)}`,
    );
    const [three] = await insert();
    await until(() => keysOf(byHeader).includes(three));
    expect(keysOf(byHeader)).toEqual([three]);
  });

  test('that was away for long receives only the names of the resources', async () => {
    const first = await server.stream('resources=*');
    await first.clientId();
    first.close();
    await server.psql(`do $$ begin for i in 1 .. 101 loop update zaehler set stand = i; end loop; end $$`);
    await insert(1, 'andere');
    const second = await resumeFrom(first.lastEventId(), 'resources=*');
    await until(() => second.updates.length === 2);
    expect(second.events.slice(1).map(({ data }) => data)).toEqual([{ resource: 'zaehler' }, { resource: 'andere' }]);
  });

  test('receives nothing that it did not subscribe to', async () => {
    const first = await server.stream('resources=zaehler');
    await first.clientId();
    first.close();
    await insert(1, 'andere');
    const missed = await insert();
    const second = await resumeFrom(first.lastEventId());
    await until(() => keysOf(second).length > 0);
    expect(keysOf(second)).toEqual(missed);
  });
});

/** Keeps the next answers of the log back, after they were read, until it may continue. */
function keepReplayBack(change: (reading: Reading) => Reading = (reading) => reading) {
  const read = server.feed.changesSince.bind(server.feed);
  let answered = false;
  let release = () => {};
  const kept = new Promise<void>((resolve) => {
    release = resolve;
  });
  const replay = jest.spyOn(server.feed, 'changesSince').mockImplementation(async (...args) => {
    const reading = await read(...args);
    answered = true;
    await kept;
    return change(reading);
  });
  return {
    answered: () => answered,
    goOn: () => {
      release();
      replay.mockRestore();
    },
  };
}

test('changes that are read while a replay is under way come after it, none twice and none lost', async () => {
  const first = await server.stream('resources=zaehler');
  await first.clientId();
  first.close();
  const missed = await insert(2);

  const replay = keepReplayBack();
  const second = await resumeFrom(first.lastEventId());
  await until(replay.answered);
  const witness = await server.stream('resources=zaehler');
  await witness.clientId();
  const during = await insert(2);
  await until(() => keysOf(witness).includes(during[1]));
  expect(keysOf(second)).toEqual([]);
  replay.goOn();
  const [after] = await insert();
  await until(() => keysOf(second).includes(after));
  expect(keysOf(second)).toEqual([...missed, ...during, after]);
});

test('a replay that answers after its epoch has ended hides nothing that is written in the next', async () => {
  const first = await server.stream('resources=zaehler');
  await first.clientId();
  first.close();
  // As before a crash that gives the last ids away again
  const replay = keepReplayBack((reading) => ({
    ...reading,
    position: { ...reading.position, xmax: reading.position.xmax + 1000n },
  }));
  const second = await resumeFrom(first.lastEventId());
  await until(replay.answered);
  const { epoch } = server.feed.position;
  await server.psql('truncate change_feed.epoch');
  await server.psql(`select change_feed.emit('auswertung')`);
  await until(() => server.feed.position.epoch !== epoch);
  replay.goOn();
  const [after] = await insert();
  await until(() => keysOf(second).includes(after));
});

test('a resource that first appears while `*` is being resynced follows after it', async () => {
  const list = server.feed.allResources.bind(server.feed);
  let goOn = () => {};
  const kept = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const listing = jest.spyOn(server.feed, 'allResources').mockImplementation(async () => {
    const names = await list();
    await kept;
    return names;
  });
  const lost = await resumeFrom('17', 'resources=*');
  await until(() => listing.mock.calls.length === 1);
  const witness = await server.stream('resources=*');
  await witness.clientId();
  await server.psql(
    `create table brandneu (id int primary key); select change_feed.watch('brandneu'); insert into brandneu values (1)`,
  );
  await until(() => witness.updates.includes('brandneu'));
  goOn();
  listing.mockRestore();
  await until(() => lost.updates.includes('brandneu'));
  await server.psql(`drop table brandneu; delete from change_feed.change where resource = 'brandneu'`);
});

test('a client that does not read at all is cut off', async () => {
  const strict = await server.another({ stallMs: 200 });
  const slow = connect(Number(new URL(strict.url).port), '127.0.0.1');
  slow.on('error', () => {});
  slow.pause();
  slow.write(
    `GET /api/events?resources=fuellung HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token()}\r\n\r\n`,
  );
  await until(() => [...strict.manager.clients()].length === 1);
  while ([...strict.manager.clients()].length === 1) {
    await server.psql(`select change_feed.emit('fuellung', to_jsonb(repeat('x', 60000)))`);
  }
  slow.destroy();
});

describe('a position that cannot be resumed is a resync, not silence', () => {
  test.each([
    ['of another server', '17'],
    ['of another epoch', '000000000000.800:800:'],
    ['enormous', `a.1:99:${'1,'.repeat(2000)}`],
    ['the id of a resync', 'resync'],
  ])('%s', async (_name, id) => {
    const stream = await resumeFrom(id);
    const { data, id: connectedId } = await stream.next(({ event }) => event === 'connected');
    expect(data.resumed).toBe(false);
    await until(() => stream.updates.length === 1);
    expect(stream.events[1]?.data).toEqual({ resource: 'zaehler', reason: 'resync' });
    // Cut now, it must be lost again: its other subscriptions may not be back yet.
    expect(connectedId).toBe('resync');
  });

  test('of the future', async () => {
    const now = await server.stream('resources=zaehler');
    await now.clientId();
    const stream = await resumeFrom(now.lastEventId()?.replace(/\.(\d+):(\d+):.*/, '.9000000000000:9000000000000:'));
    await until(() => stream.updates.length === 1);
    expect(stream.events[1]?.data).toEqual({ resource: 'zaehler', reason: 'resync' });
  });

  test('`*` names each watched table and each in the log', async () => {
    await server.psql(`select change_feed.emit('auswertung')`);
    const stream = await resumeFrom('17', 'resources=*');
    const names = ['andere', 'anmeldung', 'auswertung', 'veranstaltung', 'zaehler'];
    await until(() => names.every((name) => stream.updates.includes(name)));
    expect(new Set(stream.updates).size).toBe(stream.updates.length);
  });
});

describe('a stream that is cut', () => {
  test('after any byte of a batch, and resumed, misses nothing', async () => {
    const stream = await server.stream('resources=*');
    await stream.clientId();
    // The changes before have been sent by then, and are in no batch.
    const [first] = await insert();
    await until(() => keysOf(stream).includes(first));
    const start = stream.lastEventId() ?? '';
    const before = stream.received.length;
    // One batch of four events, one commit
    const keys = [1, 2, 3].map(() => ++lastKey);
    await server.psql(
      `begin; ${keys.map((key) => `insert into zaehler (id) values (${key});`).join('')} truncate andere; commit`,
    );
    await stream.next(({ data }) => data.operation === 'truncate' && data.resource === 'andere');
    const batch = Buffer.concat(stream.received.slice(before)).toString();
    expect(batch.match(/^id: /gm)).toHaveLength(1);

    const outcomes = new Map<string, number>();
    for (let cut = 0; cut <= batch.length; cut += 1) {
      const { id = start, seen } = dispatched(batch.slice(0, cut));
      outcomes.set(id, (outcomes.get(id) ?? 0) + 1);
      // What a browser does next is the same for each cut with the same id: asked once below.
      if (id !== start) expect(seen).toBe(4);
    }
    expect(outcomes.size).toBe(2);
    const after = await insert();
    for (const id of outcomes.keys()) {
      const again = await resumeFrom(id, 'resources=*');
      await until(() => keysOf(again).includes(after[0]));
      expect(keysOf(again)).toEqual(id === start ? [...keys, ...after] : after);
    }
  });

  test('in the middle of a replay starts again before it', async () => {
    const first = await server.stream('resources=zaehler');
    await first.clientId();
    first.close();
    const missed = await insert(3);
    const second = await resumeFrom(first.lastEventId());
    await until(() => keysOf(second).length === 3);
    expect(second.lastEventId()).toBe(first.lastEventId());
    expect(keysOf(second)).toEqual(missed);
  });
});

/** What the standard's parser has dispatched of a text that ends anywhere. */
function dispatched(text: string): { id?: string; seen: number } {
  const blocks = text.split('\n\n').slice(0, -1);
  const ids = blocks.flatMap((block) => block.split('\n').filter((line) => line.startsWith('id: ')));
  const id = ids.at(-1)?.slice(4);
  return { ...(id !== undefined && { id }), seen: blocks.filter((block) => block.includes('data: ')).length };
}

describe('subscriptions by POST', () => {
  test('after a reconnect start from where the stream arrived', async () => {
    const first = await server.stream('');
    await first.clientId();
    first.close();
    const missed = await insert(2);

    const second = await resumeFrom(first.lastEventId(), '');
    const clientId = await second.clientId();
    const response = await server.post('/api/events/subscribe', { clientId, resource: 'zaehler' });
    expect(await response.json()).toEqual({ success: true, resource: 'zaehler', watched: true });
    await until(() => keysOf(second).length === 2);
    expect(keysOf(second)).toEqual(missed);
    // Until the hold ends, a cut leads back to where it arrived.
    expect(second.lastEventId()).toBe(first.lastEventId());
  });

  test('start from `since`, and go back there first, for a cut in the middle', async () => {
    const first = await server.stream('resources=andere');
    const clientId = await first.clientId();
    const since = first.lastEventId() ?? '';
    const missed = await insert(2);
    const [seen] = await insert(1, 'andere');
    await until(() => keysOf(first).includes(seen));
    const before = first.received.length;
    await server.post('/api/events/subscribe', { clientId, resource: 'zaehler', since });
    await until(() => keysOf(first).includes(missed[1]));
    const replay = Buffer.concat(first.received.slice(before)).toString();
    expect(replay.startsWith(`id: ${since}\n\n`)).toBe(true);
    expect(keysOf(first)).toEqual([seen, ...missed]);
    expect(first.lastEventId()).not.toBe(since);
  });

  test('of a stream whose position is lost are resynced', async () => {
    const stream = await resumeFrom('17', '');
    const clientId = await stream.clientId();
    await server.post('/api/events/subscribe', { clientId, resource: 'zaehler' });
    await until(() => stream.updates.length === 1);
    expect(stream.events[1]?.data).toEqual({ resource: 'zaehler', reason: 'resync' });
  });

  test('end with POST unsubscribe', async () => {
    const stream = await server.stream('resources=zaehler,andere');
    const clientId = await stream.clientId();
    expect((await server.post('/api/events/unsubscribe', { clientId, resource: 'zaehler' })).status).toBe(200);
    await insert();
    const [other] = await insert(1, 'andere');
    await until(() => keysOf(stream).includes(other));
    expect(stream.updates).toEqual(['andere']);
  });
});

describe('ids', () => {
  test('of a resumed stream stay where it arrived for a while, and then advance', async () => {
    const quick = await server.another({ holdMs: 50, heartbeatS: 1 });
    const headers = { Authorization: `Bearer ${await server.token()}` };
    const first = await server.stream('resources=zaehler');
    await first.clientId();
    const arrived = first.lastEventId() ?? '';
    await insert();
    const { openStream } = await import('../event-stream.js');
    const second = await openStream(`${quick.url}/api/events?resources=zaehler`, {
      ...headers,
      'Last-Event-ID': arrived,
    });
    await until(() => keysOf(second).length === 1);
    await until(() => second.lastEventId() !== arrived);
    second.close();
  });

  test.each([11_000, -3_600_000])(
    'of a resumed stream stay where it arrived when the clock is set by %d ms',
    async (step) => {
      const first = await server.stream('resources=zaehler');
      await first.clientId();
      const arrived = first.lastEventId() ?? '';
      const second = await resumeFrom(arrived, 'resources=zaehler');
      await second.clientId();
      const now = Date.now.bind(Date);
      const clock = jest.spyOn(Date, 'now').mockImplementation(() => now() + step);
      try {
        const [key] = await insert();
        await until(() => keysOf(second).includes(key));
        expect(second.lastEventId()).toBe(arrived);
      } finally {
        clock.mockRestore();
      }
    },
  );

  test('of an idle client advance with each heartbeat', async () => {
    const quick = await server.another({ heartbeatS: 1 });
    const { openStream } = await import('../event-stream.js');
    const stream = await openStream(`${quick.url}/api/events?resources=andere`, {
      Authorization: `Bearer ${await server.token()}`,
    });
    await stream.clientId();
    const connectedAt = stream.lastEventId();
    await insert();
    await until(() => stream.lastEventId() !== connectedAt);
    expect(Buffer.concat(stream.received).toString()).toMatch(/\n: heartbeat\nid: [0-9a-z]+\.[\d:,]+\n\n/);
    stream.close();
  });
});

test('a client that does not read costs names, and gets one event for each resource when it does', async () => {
  const before = new Set(server.manager.clients());
  const slow = connect(Number(new URL(server.url).port), '127.0.0.1');
  slow.pause();
  slow.write(
    `GET /api/events?resources=* HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${await server.token()}\r\n\r\n`,
  );
  const slowClient = () => [...server.manager.clients()].find((client) => !before.has(client));
  await until(() => slowClient() !== undefined);
  const stalled = slowClient() as Client;
  const fast = await server.stream('resources=zaehler');
  await fast.clientId();
  // Until the socket's buffers are full, the kernel's among them; those may still grow for a while.
  let rounds = 0;
  for (; stalled.behind < 3; rounds += 1) {
    while (stalled.behind === 0) {
      await server.psql(`select change_feed.emit('fuellung', to_jsonb(repeat('x', 60000)))`);
    }
    await insert(1, 'andere');
    const [key] = await insert();
    await until(() => keysOf(fast).includes(key));
  }

  let text = '';
  slow.on('data', (chunk) => {
    text += chunk.toString();
  });
  slow.resume();
  await until(() => /\{"resource":"zaehler"\}/.test(text) && /\{"resource":"andere"\}/.test(text));
  expect(text.match(/\{"resource":"zaehler"\}/g)?.length).toBeLessThanOrEqual(rounds);
  slow.destroy();
});
