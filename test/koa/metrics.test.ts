import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { readLogState } from '../../src/feed/log/log-state.js';
import { openStream } from '../event-stream.js';
import { runProgram } from '../run-program.js';
import { startTestServer, type TestServer } from '../running-server.js';
import { runAsAdmin } from '../test-database.js';
import { until } from '../until.js';

const TOKEN = 'a-token-of-the-tests';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ metricsToken: TOKEN });
});

afterAll(() => server.stop());

const get = (url = server.url, authorization = `Bearer ${TOKEN}`) =>
  fetch(`${url}/metrics`, { headers: { Authorization: authorization } });

/** The samples by their whole names, labels included, without `pg_change_feed_`. */
async function metrics(url = server.url): Promise<Record<string, number>> {
  const response = await get(url);
  expect(response.status).toBe(200);
  const samples = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(
    samples.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space).replace('pg_change_feed_', ''), Number(line.slice(space + 1))];
    }),
  );
}

/** How a metric changes while something is done. */
async function increase(names: readonly string[], work: () => Promise<void>, url = server.url) {
  const before = await metrics(url);
  await work();
  const after = await metrics(url);
  return names.map((name) => (after[name] ?? Number.NaN) - (before[name] ?? Number.NaN));
}

describe('who may read them', () => {
  test('a request with the token, and no other', async () => {
    expect((await get()).headers.get('Content-Type')).toMatch(/^text\/plain; version=0\.0\.4/);
    for (const wrong of [
      '',
      TOKEN,
      'Bearer',
      `Bearer ${TOKEN}x`,
      `Bearer ${TOKEN.slice(1)}`,
      `Bearer ${await server.token()}`,
    ]) {
      const refused = await get(server.url, wrong);
      expect([refused.status, refused.headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer']);
      expect(await refused.text()).not.toContain('pg_change_feed');
    }
  });

  test('without a token set there are none', async () => {
    const without = await server.another({ metricsToken: undefined });
    expect((await get(without.url)).status).toBe(404);
  });
});

test('each has a HELP, and promtool finds nothing', async () => {
  const text = await (await get()).text();
  const types = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect(types.length).toBeGreaterThan(30);
  expect([...text.matchAll(/^# HELP (\S+) \S.{10,}$/gm)].map(([, name]) => name)).toEqual(types);
  const promtool = await runProgram('promtool', ['check', 'metrics'], { input: text }).catch(() => undefined);
  if (!promtool) {
    // CI installs it, and must not pass without.
    if (process.env.CI) throw new Error('promtool is missing: apt-get install prometheus');
    console.warn('Not checked, for promtool is missing: apt-get install prometheus');
    return;
  }
  // What prom-client itself names is not ours to change.
  const found = `${promtool.stdout}${promtool.stderr}`.split('\n').filter((line) => line.startsWith('pg_change_feed'));
  expect(found).toEqual([]);
});

test('the event-loop delay of the process is among them', async () => {
  expect((await metrics()).nodejs_eventloop_lag_p99_seconds).toBeGreaterThan(0);
});

describe('streams', () => {
  test('are counted while they are open, by the resources that have tables, and by why they end', async () => {
    const other = await server.another({ metricsToken: TOKEN });
    const open = async (query: string, expiresInS = 3600) =>
      openStream(`${other.url}/api/events?${query}`, {
        Authorization: `Bearer ${await server.token({ expiresInS })}`,
      });
    const streams = [
      await open('resources=*'),
      await open('resources=veranstaltung'),
      await open('resources=x1,x2,x3'),
    ];
    await open('resources=veranstaltung', 5);
    expect(await metrics(other.url)).toMatchObject({ clients: 4, streams_opened_total: 4 });
    await until(async () => (await metrics(other.url)).clients === 3, 'the end of the token');
    const now = await metrics(other.url);
    expect(Object.entries(now).filter(([name]) => name.startsWith('subscriptions'))).toEqual([
      ['subscriptions{resource="*"}', 1],
      ['subscriptions{resource="veranstaltung"}', 1],
      ['subscriptions{resource="(other)"}', 3],
    ]);
    for (const stream of streams) stream.close();
    await until(async () => (await metrics(other.url)).clients === 0, 'their leaving');
    const after = await metrics(other.url);
    expect([after['streams_closed_total{reason="expired"}'], after['streams_closed_total{reason="stopped"}']]).toEqual([
      1, 0,
    ]);
    expect(Object.keys(after).filter((name) => name.startsWith('subscriptions'))).toEqual([]);
  });
});

describe('changes', () => {
  test('are counted once, their deliveries for each client, and each has a lag', async () => {
    const streams = [await server.stream('resources=veranstaltung'), await server.stream('resources=*')];
    for (const stream of streams) await stream.clientId();
    const names = ['changes_total', 'deliveries_total', 'deliveries_summed_up_total', 'lag_seconds_count'];
    const grown = await increase(names, async () => {
      for (const _ of '123') {
        await server.psql(`select change_feed.emit('veranstaltung')`);
      }
      for (const stream of streams) await until(() => stream.updates.length === 3);
    });
    expect(grown).toEqual([3, 6, 0, 3]);
    for (const stream of streams) stream.close();
  });

  test('a reading that is summed up counts each change, and each delivery that stands for many', async () => {
    const stream = await server.stream('resources=viele');
    await stream.clientId();
    const names = ['changes_total', 'deliveries_total', 'lag_seconds_count'];
    const grown = await increase(names, async () => {
      await server.psql(`select change_feed.emit('viele') from generate_series(1, 1500)`);
      await until(() => stream.updates.length === 1);
    });
    expect(grown).toEqual([1500, 1, 1]);
    const summedUp = await increase(['deliveries_total', 'deliveries_summed_up_total'], async () => {
      await server.psql(`select change_feed.emit('viele') from generate_series(1, 150)`);
      await until(() => stream.updates.length === 2);
    });
    expect(summedUp).toEqual([1, 1]);
    stream.close();
  });

  test('the lag does not count how long a transaction stayed open before its commit', async () => {
    const stream = await server.stream('resources=lange,kurz');
    await stream.clientId();
    const another = new pg.Client({ connectionString: server.database.url });
    await another.connect();
    let begun = 0;
    let openMs = 0;
    const [seconds, count] = await increase(['lag_seconds_sum', 'lag_seconds_count'], async () => {
      await server.psql('begin');
      await server.psql(`select change_feed.emit('lange')`);
      begun = performance.now();
      await server.psql('select pg_sleep(3)');
      // The read for this one did not see the other: so it committed later.
      await another.query(`select change_feed.emit('kurz')`);
      await stream.next(({ data }) => data.resource === 'kurz');
      openMs = performance.now() - begun;
      await server.psql('commit');
      await stream.next(({ data }) => data.resource === 'lange');
    });
    expect(count).toBe(2);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(openMs / 1000);
    await another.end();
    stream.close();
  });
});

describe('resumes', () => {
  test('have a label each: from memory, from the log, and not any more', async () => {
    const forgetful = await server.another({ metricsToken: TOKEN, recentChanges: 0 });
    const stream = await server.stream();
    await stream.clientId();
    await until(() => stream.lastEventId() !== undefined);
    const position = stream.lastEventId() ?? '';
    stream.close();
    const resume = async (url: string, id: string) => {
      const headers = { Authorization: `Bearer ${await server.token()}`, 'Last-Event-ID': id };
      const resumed = await openStream(`${url}/api/events?resources=veranstaltung`, headers);
      await resumed.clientId();
      resumed.close();
    };
    const kinds = ['memory', 'log', 'resync'].map((kind) => `resumes_total{kind="${kind}"}`);
    expect(await increase(kinds, () => resume(server.url, position))).toEqual([1, 0, 0]);
    expect(await increase(kinds, () => resume(forgetful.url, position), forgetful.url)).toEqual([0, 1, 0]);
    expect(await increase(kinds, () => resume(server.url, 'nonsense'))).toEqual([0, 0, 1]);
  });
});

describe('notifications', () => {
  test('one server leads; writers notify while it is idle, and it notifies the others', async () => {
    // Alone on a database: any other server there could lead
    const one = await startTestServer({ metricsToken: TOKEN });
    const other = await one.another({ metricsToken: TOKEN });
    const urls = [one.url, other.url];
    const leads = async () => Promise.all(urls.map(async (url) => (await metrics(url)).leading));
    await until(async () => (await leads()).includes(1), 'a leader');
    expect((await leads()).sort()).toEqual([0, 1]);
    const [leader = '', follower = ''] = (await leads())[0] === 1 ? urls : urls.reverse();
    await until(async () => (await metrics(leader)).idle === 1, 'an idle leader');
    const before = { leader: await metrics(leader), follower: await metrics(follower) };
    await one.psql(`select change_feed.emit('veranstaltung')`);
    await until(async () => {
      const now = { leader: await metrics(leader), follower: await metrics(follower) };
      const grown = (who: 'leader' | 'follower', name: string) => (now[who][name] ?? 0) - (before[who][name] ?? 0);
      return (
        grown('leader', 'notifications_received_total{from="writer"}') === 1 &&
        grown('leader', 'notifications_sent_total') >= 1 &&
        grown('follower', 'notifications_received_total{from="writer"}') === 1 &&
        grown('follower', 'notifications_received_total{from="leader"}') >= 1 &&
        // Known: on a busy machine it may have read before
        ['told', 'known'].some((outcome) => grown('follower', `messages_received_total{outcome="${outcome}"}`) >= 1)
      );
    }, 'the notifications');
    expect((await metrics(one.url)).listening).toBe(1);
    await one.stop();
  });
});

describe('the log', () => {
  test('its rows and age are those of the table', async () => {
    await server.psql(`select change_feed.emit('veranstaltung')`);
    await server.psql(`update change_feed.tick set at = at - interval '1 min'`);
    await server.psql('select change_feed.note_tick()');
    const { rows } = await server.psql(
      'select count(*)::int as rows, extract(epoch from clock_timestamp() - min(at))::float8 as age from change_feed.change',
    );
    const now = await metrics();
    expect(now.log_rows).toBe(rows[0].rows);
    expect(now.log_age_seconds).toBeGreaterThanOrEqual(rows[0].age);
    expect(now.log_age_seconds).toBeLessThan(rows[0].age + 10);
    expect(now.notify_queue_usage_ratio).toBeLessThan(0.5);
    expect([now.log_retention_seconds, now.log_max_rows]).toEqual([86_400, 10_000_000]);
  });

  test('is looked up without a scan', async () => {
    let text = '';
    const query = async (statement: string) => {
      text = statement;
      return [{}];
    };
    await readLogState({ query } as never);
    await server.psql(`select change_feed.emit('viele') from generate_series(1, 20000)`);
    await server.psql('analyze change_feed.change');
    const plan = await server.psql(`explain (analyze, format json) ${text}`);
    const scans: { rows: number; type: string }[] = [];
    const visit = (node: Record<string, unknown>) => {
      if (node['Relation Name'] === 'change') {
        scans.push({ rows: node['Actual Rows'] as number, type: node['Node Type'] as string });
      }
      for (const child of (node.Plans ?? []) as Record<string, unknown>[]) visit(child);
    };
    visit(plan.rows[0]['QUERY PLAN'][0].Plan);
    expect(scans.map(({ rows }) => rows)).toEqual([1]);
    expect(scans.every(({ type }) => type.startsWith('Index'))).toBe(true);
  });

  test('while the database cannot be reached the rest is there, and says that it cannot', async () => {
    const name = new URL(server.database.url).pathname.slice(1);
    await runAsAdmin(`alter database ${name} allow_connections false`);
    try {
      await server.psql(`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'pg-change-feed%'`);
      await until(async () => (await metrics()).listening === 0, 'listening 0');
      await until(async () => (await metrics()).log_rows === undefined, 'no log_rows');
      expect(await metrics()).toMatchObject({ clients: 0 });
    } finally {
      await runAsAdmin(`alter database ${name} allow_connections true`);
    }
    await until(async () => (await metrics()).listening === 1, 'listening 1');
    await until(async () => (await metrics()).log_rows !== undefined, 'log_rows');
  });
});
