import { type ExecFileOptions, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { collectGarbage } from '../collect-garbage.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

// The long poll, as curl sees it.

const run = promisify(execFile);
const server = useTestServer({ maxStreamsPerSubject: 3 });

interface Answer {
  readonly status: number;
  readonly headers: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any;
}

/** One request of curl's. */
async function curl(
  query: string,
  options: ExecFileOptions & { token?: string; args?: string[] } = {},
): Promise<Answer> {
  const { token = await server.token(), args = [], ...rest } = options;
  const url = `${server.url}/api/events/poll?${query}`;
  const { stdout } = await run(
    'curl',
    ['-sSi', '--max-time', '30', ...args, '-H', `Authorization: Bearer ${token}`, url],
    {
      ...rest,
      encoding: 'utf8',
    },
  );
  const [headers = '', body = ''] = stdout.split('\r\n\r\n');
  return { status: Number(headers.split(' ')[1]), headers, body: body && JSON.parse(body) };
}

const emit = (...resources: string[]) =>
  server.psql('select change_feed.emit(r) from unnest($1::text[]) r', [resources]);
const positionNow = async () => (await curl('resources=a')).body.position as string;
describe('GET /api/events/poll', () => {
  test('without a position answers at once with that of now', async () => {
    const { status, headers, body } = await curl('resources=a&wait=25');
    expect(status).toBe(200);
    expect(headers).toMatch(/^Content-Type: application\/json/im);
    expect(headers).toMatch(/^Cache-Control: no-store\r?$/im);
    expect(body).toEqual({ events: [], position: expect.stringMatching(/^[0-9a-f]+\.\d+:\d+:/) });
  });

  test('returns what was missed, by the URL or by the header, and only of its resources', async () => {
    const since = await positionNow();
    await emit('a', 'b');
    const received = await curl(`resources=a&wait=25&lastEventId=${since}`);
    expect(received.body.events).toEqual([{ resource: 'a', operation: 'emit', origin: { application: 'psql' } }]);
    const byHeader = await curl('resources=*&wait=0', { args: ['-H', `Last-Event-ID: ${since}`] });
    expect(byHeader.body.events.map(({ resource }: { resource: string }) => resource)).toEqual(['a', 'b']);
    const after = await curl(`resources=*&wait=0&lastEventId=${received.body.position}`);
    expect(after.body).toEqual({ events: [], position: expect.any(String) });
  });

  test('waits for the next change, and for no longer than `wait`', async () => {
    const since = await positionNow();
    const empty = await curl(`resources=a&wait=1&lastEventId=${since}`);
    expect(empty.body.events).toEqual([]);
    const poll = curl(`resources=a&wait=25&lastEventId=${empty.body.position}`);
    let answered = false;
    void poll.then(() => {
      answered = true;
    });
    await until(async () => {
      await emit('other', 'a');
      return answered;
    });
    expect((await poll).body.events[0]).toMatchObject({ resource: 'a', operation: 'emit' });
  });

  test('waits for no longer where garbage is collected meanwhile', async () => {
    const poll = curl(`resources=a&wait=2&lastEventId=${await positionNow()}`);
    const collecting = setInterval(collectGarbage, 100);
    expect((await poll.finally(() => clearInterval(collecting))).body.events).toEqual([]);
  });

  test('a position that cannot be replayed is a resync for each resource', async () => {
    for (const lost of ['gone.5:5:', 'nonsense']) {
      const { body } = await curl(`resources=a,b&wait=25&lastEventId=${lost}`);
      expect(body.events).toEqual([
        { resource: 'a', reason: 'resync' },
        { resource: 'b', reason: 'resync' },
      ]);
      expect(body.position).toMatch(/^[0-9a-f]+\.\d+:\d+:/);
    }
  });

  test('many changes are summed up', async () => {
    const since = await positionNow();
    await server.psql(`select change_feed.emit('a', to_jsonb(i)) from generate_series(1, 150) i`);
    const { body } = await curl(`resources=a&lastEventId=${since}`);
    expect(body.events).toEqual([{ resource: 'a' }]);
  });

  test.each([
    ['', 400],
    ['resources=a%00b', 400],
    ['resources=a&wait=56', 400],
    ['resources=a&wait=-1', 400],
    ['resources=a&wait=1.5', 400],
    ['resources=a&wait=1&wait=2', 400],
    ['resources=a&wait=', 400],
    [`resources=${Array.from({ length: 101 }, (_, i) => `r${i}`).join(',')}`, 400],
  ])('%s is %i', async (query, status) => {
    const answer = await curl(query);
    expect([answer.status, answer.body]).toEqual([
      status,
      { error: { code: 'bad_request', message: expect.any(String) } },
    ]);
  });

  test('refuses what the token does not allow, no token at all, and other methods', async () => {
    const token = await server.token({ resources: ['a'] });
    expect((await curl('resources=a,b', { token })).status).toBe(403);
    expect((await curl('resources=a', { token })).status).toBe(200);
    expect((await curl('resources=a', { token: 'none' })).status).toBe(401);
    expect((await curl('resources=a', { args: ['-X', 'DELETE'] })).status).toBe(405);
    const since = await positionNow();
    await emit('secret', 'a');
    const all = await curl(`resources=*&lastEventId=${since}`, { token });
    expect(all.body.events.map(({ resource }: { resource: string }) => resource)).toEqual(['a']);
  });

  test('counts as a stream while it waits, and leaves with its connection', async () => {
    const since = await positionNow();
    const leave = new AbortController();
    const query = `resources=none&wait=55&lastEventId=${since}`;
    const polls = [1, 2, 3].map(() => curl(query, { signal: leave.signal }).catch(() => {}));
    await until(async () => (await curl('resources=a')).status === 429, 'the limit');
    const refused = await curl('resources=a');
    expect(refused.headers).toMatch(/^Retry-After: \d+\r?$/im);
    leave.abort();
    await Promise.all(polls);
    await until(async () => (await curl('resources=a')).status === 200, 'room for a poll');
  });

  test('ends when the server stops, and with its token', async () => {
    const since = await positionNow();
    const other = await server.another({ maxStreamsPerSubject: 1 });
    const headers = { Authorization: `Bearer ${await server.token()}` };
    const url = `${other.url}/api/events/poll?resources=a`;
    const args = ['-sS', '-H', `Authorization: ${headers.Authorization}`];
    const poll = run('curl', [...args, `${url}&wait=55&lastEventId=${since}`]);
    await until(async () => (await fetch(url, { headers })).status === 429, 'the poll that waits');
    const stopped = other.stop();
    expect(JSON.parse((await poll).stdout)).toEqual({ events: [], position: expect.any(String) });
    await stopped;
    const short = await curl(`resources=a&wait=55&lastEventId=${since}`, {
      token: await server.token({ expiresInS: 5 }),
    });
    expect(short.status).toBe(200);
  });
});
