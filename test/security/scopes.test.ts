import { beforeAll, describe, expect, test } from '@jest/globals';
import { openStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// Attempts to receive the rows of another tenant. Each names what would be received without the check.

const UUID = '3f2504e0-4f89-41d3-9a0c-0305e82c3301';
const server = useTestServer();

beforeAll(async () => {
  await server.psql(`
    create type farbe as enum ('rot', 'blau');
    create table akte (id serial primary key, mandant_id int, projekt_id int8, marke uuid, aktiv bool, name text, farbe farbe, klein int2);
    select change_feed.watch('akte', scopes => '{mandant_id, mandant_id&projekt_id, marke, aktiv, name, farbe, klein}');
    create table geheim (id serial primary key, mandant_id int);
    select change_feed.watch('geheim')`);
});

interface Answer {
  readonly status: number;
  readonly message: string;
}

/** The server's answer to a stream, a poll and a subscription by POST: one, for all are the same. */
async function answerTo(topic: string, resources?: string[]): Promise<Answer> {
  const token = await server.token(resources ? { resources } : {});
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const query = `resources=${encodeURIComponent(topic)}`;
  const stream = await openStream(`${server.url}/api/events`, headers);
  const body = JSON.stringify({ clientId: await stream.clientId(), resource: topic });
  const answers = [
    await fetch(`${server.url}/api/events?${query}`, { headers }),
    await fetch(`${server.url}/api/events/poll?wait=0&${query}`, { headers }),
    await fetch(`${server.url}/api/events/subscribe`, { method: 'POST', headers, body }),
  ];
  stream.close();
  const told = await Promise.all(
    answers.map(async (answer) => {
      if (answer.status !== 200)
        return {
          status: answer.status,
          message: ((await answer.json()) as { error: { message: string } }).error.message,
        };
      await answer.body?.cancel();
      return { status: 200, message: '' };
    }),
  );
  expect(new Set(told.map((each) => JSON.stringify(each))).size).toBe(1);
  return told[0] as Answer;
}

/** Returns the events that a stream of these rights receives of a statement, behind which an event shows that there is no more. */
async function told(topics: string[], statement: string, resources = topics): Promise<unknown[]> {
  const token = await server.token({ resources: [...resources, 'zaun'] });
  const query = [...topics, 'zaun'].map((topic) => `resources=${encodeURIComponent(topic)}`).join('&');
  const stream = await openStream(`${server.url}/api/events?hold=0&${query}`, { Authorization: `Bearer ${token}` });
  await stream.clientId();
  await server.psql(statement);
  await server.psql(`select change_feed.emit('zaun')`);
  await until(() => stream.updates.includes('zaun'));
  stream.close();
  return stream.events.filter(({ data }) => data.resource === 'akte').map(({ data }) => data);
}

describe('a token for one tenant is refused', () => {
  test.each([
    ['a forged scope', 'akte?mandant_id=8'],
    ['the whole table', 'akte'],
    ['a scope of another column', 'akte?projekt_id=7'],
    ['a part of what the right names', 'akte?name=x'],
    ['the same scope of another table', 'geheim?mandant_id=7'],
    ['a percent-encoded one', 'akte?mandant_id=%38'],
    ['empty text', 'akte?mandant_id='],
    ['the word null', 'akte?mandant_id=null'],
    ['a number with a leading zero, for the database the same', 'akte?mandant_id=07'],
    ['a number with a sign, for the database the same', 'akte?mandant_id=%2B7'],
    ['a number with a space, for the database the same', 'akte?mandant_id=%207'],
    ['another digit that looks alike', 'akte?mandant_id=%D9%A7'],
    ['a full-width digit', 'akte?mandant_id=%EF%BC%97'],
    ['a column that looks alike', 'akte?m%D0%B0ndant_id=7'],
    ['a column in other letters', 'akte?MANDANT_ID=7'],
    ['__proto__', 'akte?__proto__=7'],
    ['constructor', 'akte?constructor=7'],
  ])('%s', async (_name, topic) => {
    const { status, message } = await answerTo(topic, ['akte?mandant_id=7', 'akte?mandant_id=7&name=x']);
    expect(status).toBe(403);
    // 403 comes first: the hint of a 400 would show the scopes of the table.
    expect(message).not.toContain('change_feed.watch');
  });
});

describe('400, for the database might take it for the same value', () => {
  test.each([
    ['07', 'mandant_id=07'],
    ['+7', 'mandant_id=%2B7'],
    ['-0', 'mandant_id=-0'],
    ['7.0', 'mandant_id=7.0'],
    ['7e0', 'mandant_id=7e0'],
    ['0x7', 'mandant_id=0x7'],
    ['1_0', 'mandant_id=1_0'],
    ['a space before 7', 'mandant_id=%207'],
    ['an Arabic digit', 'mandant_id=%D9%A7'],
    ['a number that is no int4', 'mandant_id=2147483648'],
    ['a number that is no int2', 'klein=40000'],
    ['a number that is no int8', 'mandant_id=7&projekt_id=9223372036854775808'],
    ['empty text for a number', 'mandant_id='],
    ['an upper-case uuid', `marke=${UUID.toUpperCase()}`],
    ['a uuid without hyphens', `marke=${UUID.replaceAll('-', '')}`],
    ['a uuid in braces', `marke=%7B${UUID}%7D`],
    ['t for true', 'aktiv=t'],
    ['TRUE', 'aktiv=TRUE'],
    ['1 for true', 'aktiv=1'],
    ['a value of 8 kB', `name=${'x'.repeat(8000)}`],
    ['a value of 201 bytes', `name=${'x'.repeat(201)}`],
    ['NUL', 'name=%00'],
    ['a malformed %', 'name=%zz'],
    ['bytes that are not UTF-8', 'name=%ff'],
    ['half a character', 'name=%ed%a0%80'],
    ['a column twice', 'mandant_id=7&mandant_id=8'],
    ['a scope of *', undefined],
  ])('%s', async (_name, conditions) => {
    const topic = conditions === undefined ? '*?mandant_id=7' : `akte?${conditions}`;
    // Also with a right to just this text
    for (const resources of [undefined, ['akte']]) expect((await answerTo(topic, resources)).status).toBe(400);
  });

  test('also in a claim: a right to 07 is none to 7', async () => {
    expect((await answerTo('akte?mandant_id=7', ['akte?mandant_id=07'])).status).toBe(403);
    const wrong = await answerTo('akte?mandant_id=07', ['akte?mandant_id=07']);
    expect(wrong).toEqual({ status: 400, message: expect.stringContaining('without + and leading zeros') });
    expect((await answerTo('*', ['akte?mandant_id=07'])).status).toBe(400);
    expect((await answerTo('*', ['akte?betrag=7'])).status).toBe(400);
  });

  test.each(['akte?mandant_id=%', 'akte?', 'akte?mandant_id', 'akte?x=\ud800', 'akte?x=1?y=2'])(
    'a malformed claim is 401: %s',
    async (claim) => {
      const token = await server.token({ resources: [claim, 'akte?mandant_id=7'] });
      const answer = await fetch(`${server.url}/api/events`, { headers: { Authorization: `Bearer ${token}` } });
      expect(answer.status).toBe(401);
    },
  );

  test('a column that is no scope, with the call that makes it one and keeps the others', async () => {
    const { status, message } = await answerTo('akte?id=7', ['akte']);
    expect(status).toBe(400);
    expect(message).toMatch(
      /select change_feed\.watch\('public\.akte', scopes => '\{.*mandant_id, mandant_id&projekt_id.*, id\}'\)$/,
    );
    const [call = ''] = /select .*$/.exec(message) ?? [];
    await server.psql('begin');
    expect((await server.psql(call)).rows).toHaveLength(1);
    await server.psql('rollback');
    expect((await answerTo('geheim?mandant_id=7', ['*'])).message).toContain(
      `select change_feed.watch('public.geheim', scopes => '{mandant_id}')`,
    );
  });
});

describe('values are compared as their texts', () => {
  test('NULL belongs to no scope, and empty text to its own', async () => {
    expect(await told(['akte?name='], `insert into akte (name) values (null)`)).toEqual([]);
    expect(await told(['akte?name='], `insert into akte (name) values ('')`)).toMatchObject([{ scope: { name: '' } }]);
    expect(await told(['akte?name=null'], `insert into akte (name) values (null)`)).toEqual([]);
  });

  test('unicode look-alikes are others: composed and decomposed, full-width, Cyrillic, with a space', async () => {
    const names = ['cafe\u0301', 'caf\u00e9 ', 'Caf\u00e9', '\uff43af\u00e9', 'c\u0430f\u00e9'];
    const values = names.map((name) => `('${name}')`).join();
    expect(await told(['akte?name=caf%C3%A9'], `insert into akte (name) values ${values}`)).toEqual([]);
    expect(await told(['akte?name=caf%C3%A9'], `insert into akte (name) values ('caf\u00e9')`)).toHaveLength(1);
  });

  test('a collation by which different texts are equal opens no scope to another', async () => {
    await server.psql(`
      create collation egal (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
      create table ding (id serial primary key, name text collate egal);
      select change_feed.watch('ding', scopes => '{name}')`);
    const token = await server.token({ resources: ['ding?name=adler', 'zaun'] });
    const stream = await openStream(`${server.url}/api/events?hold=0&resources=ding%3Fname%3Dadler,zaun`, {
      Authorization: `Bearer ${token}`,
    });
    await stream.clientId();
    await server.psql(`insert into ding (name) values ('Adler'), ('ädler')`);
    await server.psql(`insert into ding (name) values ('adler')`);
    await server.psql(`select change_feed.emit('zaun')`);
    await until(() => stream.updates.includes('zaun'));
    expect(stream.events.filter(({ data }) => data.resource === 'ding').map(({ data }) => data.keys)).toEqual([[3]]);
    stream.close();
  });

  test('an enum value that is renamed is another one, and a new one of the old name is no way in', async () => {
    expect(await told(['akte?farbe=rot'], `insert into akte (farbe) values ('rot'), ('blau')`)).toHaveLength(1);
    await server.psql(`alter type farbe rename value 'rot' to 'purpur'`);
    expect(await told(['akte?farbe=rot'], `insert into akte (farbe) values ('purpur')`)).toEqual([]);
    expect(await told(['akte?farbe=purpur'], `insert into akte (farbe) values ('purpur')`)).toHaveLength(1);
  });

  test('bool, uuid and numbers have one text each', async () => {
    const statement = `insert into akte (aktiv, marke, klein, mandant_id, projekt_id)
      values (true, '${UUID.toUpperCase()}', -5, 7, 9007199254740993)`;
    for (const topic of [
      'akte?aktiv=true',
      `akte?marke=${UUID}`,
      'akte?klein=-5',
      'akte?mandant_id=7&projekt_id=9007199254740993',
    ]) {
      expect(await told([topic], statement)).toHaveLength(1);
    }
    expect(await told(['akte?aktiv=false', 'akte?klein=5'], statement)).toEqual([]);
  });
});

test('a right to a tenant includes each project of it, and of no other tenant', async () => {
  const rights = ['akte?mandant_id=7'];
  const statement = `insert into akte (mandant_id, projekt_id) values (7, 1), (8, 1), (7, 2)`;
  const events = await told(['akte?projekt_id=1&mandant_id=7'], statement, rights);
  expect(events).toMatchObject([{ scope: { mandant_id: '7', projekt_id: '1' }, keys: [expect.any(Number)] }]);
  expect((await answerTo('akte?projekt_id=1', rights)).status).toBe(403);
  expect((await answerTo('akte?mandant_id=8&projekt_id=1', rights)).status).toBe(403);
});

test('* of a token with scopes is these, also in a resync; of a function it is whole tables', async () => {
  const token = await server.token({ resources: ['akte?mandant_id=7'] });
  const headers = { Authorization: `Bearer ${token}`, 'Last-Event-ID': 'garbage' };
  const stream = await openStream(`${server.url}/api/events?resources=*`, headers);
  await until(() => stream.updates.length > 0);
  expect(stream.events.filter(({ event }) => event === 'table-update').map(({ data }) => data)).toEqual([
    { resource: 'akte', scope: { mandant_id: '7' }, reason: 'resync' },
  ]);
  stream.close();
  const byFunction = await server.another({
    authorize: (_claims, resource, scope) => resource === 'akte' && scope?.mandant_id === '7',
  });
  const every = await openStream(`${byFunction.url}/api/events?resources=*`, headers);
  const own = await openStream(`${byFunction.url}/api/events?resources=akte%3Fmandant_id%3D7`, headers);
  await server.psql('insert into akte (mandant_id) values (7), (8)');
  await until(() => own.updates.length === 2);
  expect(every.updates).toEqual([]);
  const other = await fetch(`${byFunction.url}/api/events?resources=akte%3Fmandant_id%3D8`, { headers });
  expect(other.status).toBe(403);
  every.close();
  own.close();
});

test('the metrics name no value', async () => {
  const metered = await server.another({ metricsToken: 'm'.repeat(32) });
  const stream = await openStream(`${metered.url}/api/events?resources=akte%3Fname%3Dgeheimnis,akte`, {
    Authorization: `Bearer ${await server.token()}`,
  });
  await stream.clientId();
  const answer = await fetch(`${metered.url}/metrics`, { headers: { Authorization: `Bearer ${'m'.repeat(32)}` } });
  const text = await answer.text();
  expect(text).toContain('pg_change_feed_subscriptions{resource="akte"} 2');
  expect(text).not.toContain('geheimnis');
  stream.close();
});
