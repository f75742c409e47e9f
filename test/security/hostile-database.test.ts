import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { pino } from 'pino';
import { ServerCalls } from '../../src/feed/servers/server-calls.js';
import { type EventStream, openStream } from '../event-stream.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { until } from '../until.js';

// What somebody with a login to the database may try against the server.

let server: TestServer;
const streams: EventStream[] = [];
const lines: string[] = [];

beforeAll(async () => {
  server = await startTestServer({
    logger: pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }),
  });
});

afterEach(() => {
  for (const stream of streams.splice(0)) stream.close();
});

afterAll(() => server.stop());

async function open(query = 'resources=*', url = server.url): Promise<EventStream> {
  const stream = await openStream(`${url}/api/events?${query}`, { Authorization: `Bearer ${await server.token()}` });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

describe('an object with the name of one of Postgres', () => {
  /** A schema of traps before all others: each notes that it was called, and by whom. */
  const TRAPS = `
    create schema falle;
    create table falle.gefangen (name text, db_user text);
    create function falle.fange(name text) returns void language sql security definer
      as $$ insert into falle.gefangen values (name, session_user) $$;
    create function falle.pg_current_snapshot() returns pg_catalog.pg_snapshot language plpgsql
      as $$ begin perform falle.fange('pg_current_snapshot'); return pg_catalog.pg_current_snapshot(); end $$;
    create function falle.pg_notify(text, text) returns void language plpgsql
      as $$ begin perform falle.fange('pg_notify'); perform pg_catalog.pg_notify($1, $2); end $$;
    create function falle.pg_try_advisory_lock(int, int) returns boolean language plpgsql
      as $$ begin perform falle.fange('pg_try_advisory_lock'); return pg_catalog.pg_try_advisory_lock($1, $2); end $$;
    create function falle.pg_advisory_unlock(int, int) returns boolean language plpgsql
      as $$ begin perform falle.fange('pg_advisory_unlock'); return pg_catalog.pg_advisory_unlock($1, $2); end $$;
    create function falle.pg_is_in_recovery() returns boolean language plpgsql
      as $$ begin perform falle.fange('pg_is_in_recovery'); return false; end $$;
    create function falle.set_config(text, text, boolean) returns text language plpgsql
      as $$ begin perform falle.fange('set_config'); return pg_catalog.set_config($1, $2, $3); end $$;
    create function falle.mal(interval, interval) returns interval language plpgsql
      as $$ begin perform falle.fange('*'); return $2; end $$;
    create operator falle.* (leftarg = interval, rightarg = interval, function = falle.mal);
    grant usage on schema falle to public; grant execute on all functions in schema falle to public;`;

  test.each([
    // An exact match of argument types in any schema of the path goes before a built-in one that needs a cast.
    ['behind those of Postgres in the search_path', 'public, falle'],
    ['before those of Postgres in the search_path', 'falle, public, pg_catalog'],
  ])('%s is not taken for it', async (_name, path) => {
    await server.psql(TRAPS);
    const name = new URL(server.database.url).pathname.slice(1);
    await server.psql(`alter database ${name} set search_path = ${path}`);
    try {
      const other = await server.another({ recentChanges: 0 });
      const first = await open('resources=*', other.url);
      const made = await fetch(`${other.url}/api/veranstaltungen`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${await server.token()}` },
        body: JSON.stringify({
          name: 'Fest',
          beginn: '2030-07-01',
          ende: '2030-07-01',
          meldebeginn: '2030-06-01T18:00:00Z',
          meldeschluss: '2030-06-02T18:00:00Z',
          maxTeilnehmende: 10,
          teilnahmegebuehr: 0,
        }),
      });
      expect(made.status).toBe(201);
      await until(() => first.updates.includes('veranstaltung'));
      const again = await open(`resources=*&lastEventId=${first.events[0]?.id}`, other.url);
      await until(() => again.updates.includes('veranstaltung'));
      expect((await server.psql('table falle.gefangen')).rows).toEqual([]);
      await other.stop();
      expect((await server.psql('table falle.gefangen')).rows).toEqual([]);
    } finally {
      await server.psql(`alter database ${name} reset search_path; drop schema falle cascade`);
    }
  });
});

describe('NOTIFY by anybody', () => {
  let guest: pg.Client;

  beforeAll(async () => {
    guest = new pg.Client({ connectionString: server.database.url });
    await guest.connect();
  });

  afterAll(() => guest.end());

  test('with any payload: no crash, no complaint, no event, and the next change is received', async () => {
    const stream = await open();
    const { instanceId } = server.feed;
    const kind = fc.constantFrom('call', '0000000000000000', instanceId, 'veranstaltung', '{"a":', '__proto__');
    const payload = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 2000 }).map((text) => text.replaceAll('\0', '')),
      fc
        .tuple(kind, fc.constantFrom(',', ' ', ':', ''), fc.oneof(kind, fc.string(), fc.uuid()), fc.string())
        .map(([a, separator, b, c]) => [a, b, c].join(separator).replaceAll('\0', '')),
    );
    lines.length = 0;
    await fc.assert(
      fc.asyncProperty(payload, async (text) => {
        await guest.query(`select pg_notify('change_feed', $1)`, [text]);
      }),
      { numRuns: 500 },
    );
    await server.psql(`select change_feed.emit('danach')`);
    await until(() => stream.updates.includes('danach'));
    expect(stream.updates).toEqual(['danach']);
    // A leader without the CPU for three seconds loses its session, whatever the notifications
    expect(lines.filter((line) => !/idle-session|The session is gone/.test(line))).toEqual([]);
  });

  test('in a flood of forged calls leads to a query at a time, and holds nobody up', async () => {
    const stream = await open();
    // Not in one transaction, which would send the same payload once
    await guest.query(`do $$ begin for i in 1 .. 5000 loop
      perform pg_notify('change_feed', '${server.feed.instanceId}'); perform pg_notify('change_feed', gen_random_uuid()::text);
      commit; end loop; end $$`);
    await server.psql(`select change_feed.emit('nach der flut')`);
    await until(() => stream.updates.includes('nach der flut'));

    let queries = 0;
    const logger = pino({ level: 'silent' });
    const query = async () => {
      queries += 1;
      return [];
    };
    const calls = new ServerCalls({
      instanceId: '0123abcd',
      query,
      health: () => ({ listener: true, database: true }),
      logger,
    });
    for (let i = 0; i < 1000; i += 1) expect(calls.heard('0123abcd')).toBe(true);
    await calls.takeCalls();
    await until(() => queries >= 2);
    expect(queries).toBe(2);
  });

  test('a resource that is called like a message between servers is sent at once, as any other', async () => {
    const stream = await open();
    for (const name of [
      'call',
      'call me',
      `call ${server.feed.instanceId}`,
      'answer',
      'answer x y',
      '0000000000000000',
      server.feed.instanceId,
    ]) {
      await server.psql('select change_feed.emit($1)', [name]);
      await until(() => stream.updates.includes(name), name);
    }
  });
});

describe('a forged field of a stream', () => {
  test('does not come through any text that the database holds', async () => {
    const stream = await open();
    const attack = fc.constantFrom(
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      '\u2028',
      '\u0085',
      '\0',
      'event: expired',
      'data: {}',
      'id: 1',
      'retry: 0',
      ':',
    );
    const text = fc
      .array(fc.oneof(attack, fc.string({ unit: 'binary', maxLength: 5 })), { maxLength: 8 })
      .map((parts) => parts.join(''));
    let sent = 0;
    await fc.assert(
      fc.asyncProperty(text, text, text, async (value, actor, application) => {
        const clean = (given: string) => given.replaceAll('\0', '');
        const data = { value: clean(value), [clean(actor)]: 1 };
        await server.psql(
          `select set_config('change_feed.actor', $1, false), set_config('change_feed.client', $1, false), set_config('application_name', $2, false)`,
          [clean(actor), clean(application)],
        );
        await server.psql('select change_feed.emit($1, $2)', ['fuzz', JSON.stringify(data)]);
        sent += 1;
        await until(() => stream.updates.length >= sent);
        expect(stream.events.at(-1)?.data.data).toEqual(data);
      }),
      { numRuns: 100 },
    );
    await server.psql(`reset application_name; reset change_feed.actor; reset change_feed.client`);
    expect(new Set(stream.events.map(({ event }) => event))).toEqual(new Set(['connected', 'table-update']));
    // Each id is a position of the feed, and each line one of ours
    const raw = Buffer.concat(stream.received).toString();
    for (const line of raw.split(/\r\n|\r|\n/)) {
      expect(line).toMatch(
        /^(id: [0-9a-f]+\.\d+:\d+:[\d,]*|event: (connected|table-update)|data: \{.*\}|retry: \d{4}|: heartbeat|)$/s,
      );
    }
  });

  test('does not come through the name of a resource: with a line break or NUL it is refused everywhere', async () => {
    for (const name of ['a\nb', 'a\rb', 'a\u0085b', 'a\x1bb', 'a,b', 'a?b', '']) {
      await expect(server.psql('select change_feed.emit($1)', [name])).rejects.toThrow('cannot name a resource');
      const response = await server.post('/api/events/subscribe', { clientId: 'a', resource: name });
      expect(response.status).toBe(400);
    }
    expect((await server.post('/api/events/subscribe', { clientId: 'a', resource: 'a\0b' })).status).toBe(400);
  });
});
