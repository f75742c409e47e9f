import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, jest, test } from '@jest/globals';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import type { RunningServer } from '../../src/koa/server.js';
import { openStream } from '../event-stream.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// A POST that reaches another server than the one which has the stream.

const server = useTestServer({ maxSubscriptions: 500 });
let other: RunningServer;

beforeAll(async () => {
  other = await server.another();
});

const post = async (action: 'subscribe' | 'unsubscribe', body: Record<string, unknown>, token?: string) => {
  const response = await fetch(`${other.url}/api/events/${action}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token ?? (await server.token())}` },
    body: JSON.stringify(body),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  return { status: response.status, headers: response.headers, body: (await response.json()) as any };
};

/**
 * The first answer that is neither 503 nor 429, asked for as the answers say: on a busy machine the other server may need more
 * than its two seconds, and only fifty calls of a subject may wait at once.
 */
async function answered(...request: Parameters<typeof post>) {
  for (;;) {
    const answer = await post(...request);
    if (answer.status !== 503 && answer.status !== 429) return answer;
    await delay(1000 * Number(answer.headers.get('retry-after')));
  }
}

const emit = (resource: string) => server.psql('select change_feed.emit($1)', [resource]);

test('subscribes and unsubscribes the stream', async () => {
  const stream = await server.stream('');
  const clientId = await stream.clientId();
  expect(await post('subscribe', { clientId, resource: 'veranstaltung' })).toMatchObject({
    status: 200,
    body: { success: true, resource: 'veranstaltung', watched: true },
  });
  await post('subscribe', { clientId, resource: 'marke' });
  await emit('veranstaltung');
  await until(() => stream.updates.length === 1);

  expect((await post('unsubscribe', { clientId, resource: 'veranstaltung' })).status).toBe(200);
  await emit('veranstaltung');
  await emit('marke');
  await until(() => stream.updates.includes('marke'));
  expect(stream.updates).toEqual(['veranstaltung', 'marke']);
});

test('since travels along', async () => {
  const since = await server.feed.currentPosition();
  await emit('vorher');
  const stream = await server.stream('');
  const clientId = await stream.clientId();
  expect((await post('subscribe', { clientId, resource: 'vorher', since })).status).toBe(200);
  // Answered when it was sent
  expect(server.manager.requireClient(clientId, 'ada').subscriptions.has('vorher')).toBe(true);
  await until(() => stream.updates.includes('vorher'));
});

test('a bare EventSource that resumes at one server and subscribes at the other misses nothing', async () => {
  const first = await server.stream('resources=anderswo');
  await first.clientId();
  const lastEventId = first.lastEventId() ?? '';
  first.close();
  await emit('anderswo');
  const again = await server.stream('', { 'Last-Event-ID': lastEventId });
  await post('subscribe', { clientId: await again.clientId(), resource: 'anderswo' });
  await until(() => again.updates.includes('anderswo'));
});

test("answers with the other server's 404: no such stream, or somebody else's", async () => {
  const clientId = await (await server.stream('')).clientId();
  const notFound = { status: 404, body: { error: { code: 'not_found' } } };
  expect(await post('subscribe', { clientId: `${clientId}x`, resource: 'a' })).toMatchObject(notFound);
  expect(await post('subscribe', { clientId, resource: 'a' }, await server.token({ sub: 'eve' }))).toMatchObject(
    notFound,
  );
  expect(await post('unsubscribe', { clientId, resource: 'a' }, await server.token({ sub: 'eve' }))).toMatchObject(
    notFound,
  );
});

test("answers with the other server's 403 for what the token does not allow", async () => {
  const clientId = await (await server.stream('')).clientId();
  const token = await server.token({ resources: ['anmeldung'] });
  expect(await post('subscribe', { clientId, resource: 'geheim' }, token)).toMatchObject({
    status: 403,
    body: { error: { code: 'forbidden', message: 'The token does not allow the resource geheim' } },
  });
  expect(server.manager.requireClient(clientId, 'ada').subscriptions.size).toBe(0);
});

test('is 404 at once for servers that do not run, and a flood of them costs a query now and then', async () => {
  const query = jest.spyOn(ChangeLog.prototype, 'query');
  const unknown = () => `${randomBytes(4).toString('hex')}.${randomBytes(12).toString('base64url')}`;
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => post('subscribe', { clientId: unknown(), resource: 'marke' })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
  expect(query.mock.calls.filter(([text]) => text.includes('call_server'))).toEqual([]);
  expect(query.mock.calls.filter(([text]) => text.includes('change_feed.status')).length).toBeLessThan(40);
  query.mockRestore();
});

test('reaches a server that has only just started', async () => {
  await post('subscribe', { clientId: `00000000.${'a'.repeat(16)}`, resource: 'marke' });
  const third = await server.another();
  const stream = await openStream(`${third.url}/api/events?token=${await server.token()}`);
  expect((await post('subscribe', { clientId: await stream.clientId(), resource: 'marke' })).status).toBe(200);
  stream.close();
});

test('is 503 after two seconds when the other server is gone, and leaves nothing behind', async () => {
  const id = randomBytes(4).toString('hex');
  await server.psql(`select change_feed.report_server($1, 'gone', 1, '0', 0, false, false, null)`, [id]);
  const clientId = `${id}.${randomBytes(12).toString('base64url')}`;
  const begun = performance.now();
  const answer = await post('subscribe', { clientId, resource: 'a' });
  expect(answer).toMatchObject({ status: 503, body: { error: { code: 'unavailable' } } });
  expect(answer.headers.get('Retry-After')).toBe('1');
  expect(performance.now() - begun).toBeGreaterThan(1900);

  await server.psql(`update change_feed.call set at = at - interval '2 min'`);
  await post('subscribe', { clientId, resource: 'a' });
  const { rows } = await server.psql('select count(*)::int from change_feed.call');
  expect(rows).toEqual([{ count: 1 }]);
});

test('is refused at once while a thousand calls wait', async () => {
  const gone = 'ffffffff';
  await server.psql(`select change_feed.report_server($1, 'gone', 1, '0', 0, false, false, null)`, [gone]);
  const call = (subject: string) => other.feed.calls.call(gone, {}, subject);
  const calls = Array.from({ length: 1000 }, (_, i) => call(`${i % 20}`).catch((error: Error) => error.name));
  await expect(call('another')).rejects.toThrow('Too many calls of other servers');
  await expect(call('7')).rejects.toThrow('Too many calls of this subject');
  expect(new Set(await Promise.all(calls))).toEqual(new Set(['NoAnswerError']));
});

test('anyone can NOTIFY: forged calls and answers subscribe nobody, and stop nothing', async () => {
  const stream = await server.stream('');
  const clientId = await stream.clientId();
  const { instanceId } = server.feed;
  for (const payload of [
    '',
    instanceId,
    randomUUID(),
    'call',
    'call,',
    `call,${instanceId}`,
    `call,${instanceId},{"action":"subscribe","clientId":"${clientId}","subject":"ada","resource":"a","authorized":true}`,
    'answer',
    `answer,${randomUUID()},done`,
    'answer,__proto__,done',
  ]) {
    await server.psql(`select pg_notify('change_feed', $1)`, [payload]);
  }
  await server.psql('select change_feed.call_server(gen_random_uuid(), $1, $2)', [instanceId, '{"action":"shutdown"}']);
  await server.psql('select change_feed.call_server(gen_random_uuid(), $1, $2)', [instanceId, 'null']);
  await server.psql(`create role gast_${instanceId}`);
  await expect(
    server.psql(
      `set role gast_${instanceId}; select change_feed.call_server(gen_random_uuid(), '${instanceId}', '{}')`,
    ),
  ).rejects.toThrow('permission denied');
  await server.psql(`reset role; drop role gast_${instanceId}`);

  expect((await answered('subscribe', { clientId, resource: 'b' })).status).toBe(200);
  expect([...server.manager.requireClient(clientId, 'ada').subscriptions.keys()]).toEqual(['b']);
});

test('two hundred at once are all answered, those beyond the limit when they come again', async () => {
  const token = await server.token();
  const stream = await openStream(`${server.url}/api/events`, { Authorization: `Bearer ${token}` });
  const clientId = await stream.clientId();
  const names = Array.from({ length: 200 }, (_, i) => `viele_${i}`);
  const answers = await Promise.all(names.map((resource) => answered('subscribe', { clientId, resource }, token)));
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(server.manager.requireClient(clientId, 'ada').subscriptions.size).toBe(200);
  stream.close();
});
