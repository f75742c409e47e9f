import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { ChangeLog } from '../../../src/feed/log/change-log.js';
import { type Position, parsePosition } from '../../../src/feed/log/position.js';
import { createTestDatabase, type TestDatabase } from '../../test-database.js';
import { until } from '../../until.js';

let database: TestDatabase;
let log: ChangeLog;
let psql: pg.Client;

beforeEach(async () => {
  database = await createTestDatabase();
  log = new ChangeLog(database.url, () => {});
  psql = await session();
});

afterEach(async () => {
  await log.close();
  await psql.end();
  await database.drop();
});

async function session(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {}); // dropping the database ends it
  await client.connect();
  return client;
}

const emit = (name: string, client = psql) => client.query('select change_feed.emit($1)', [name]);
const namesSince = async (position: Position, resources?: string[]) =>
  (await log.replay(position, resources)).changes.map(({ resource }) => resource);

describe('reading', () => {
  test('goes on from the position that the last one returned, also when nothing was new', async () => {
    const start = await log.begin();
    await emit('a');
    const first = await log.read(start);
    expect(first.changes).toEqual([{ resource: 'a', operation: 'emit', xid: expect.any(BigInt) }]);
    const second = await log.read(first.position);
    expect(second).toMatchObject({ changes: [], lost: false, measured: { changes: 0 } });
    await emit('b');
    expect(await namesSince(second.position)).toEqual(['b']);
  });

  test('gives what was written early and committed late, and nothing twice', async () => {
    const slow = await session();
    const start = await log.begin();
    await slow.query('begin');
    await emit('early', slow);
    await emit('late');
    const first = await log.read(start);
    expect(first.changes.map(({ resource }) => resource)).toEqual(['late']);
    await slow.query('commit');
    expect(await namesSince(first.position)).toEqual(['early']);
    await slow.end();
  });

  test('through savepoints gives each once', async () => {
    const start = await log.begin();
    await psql.query(`begin; savepoint a; select change_feed.emit('a'); savepoint b; select change_feed.emit('b');
      rollback to b; release a; select change_feed.emit('c'); commit`);
    expect(await namesSince(start)).toEqual(['a', 'c']);
  });

  test('sums up a flood, and names what comes after it', async () => {
    const flood = () => psql.query(`select change_feed.emit('flut') from generate_series(1, 201)`);
    const first = await log.begin();
    await flood();
    const second = await log.read(first);
    expect(second).toMatchObject({ changes: [{ resource: 'flut' }], measured: { changes: 201 } });
    await flood();
    const third = await log.read(second.position);
    expect(third).toMatchObject({ changes: [{ resource: 'flut' }], measured: { changes: 201 } });
    await emit('danach');
    const { changes } = await log.read(third.position);
    expect(changes).toEqual([{ resource: 'danach', operation: 'emit', xid: expect.any(BigInt) }]);
  });

  test('names each of up to 200, and where they come again and again, of up to 100', async () => {
    let { position } = await log.read(await log.begin());
    const told: number[] = [];
    for (const changes of [150, 150, 101, 100, 200]) {
      await psql.query(`select change_feed.emit('viel') from generate_series(1, ${changes})`);
      const reading = await log.read(position);
      expect(reading.measured?.changes).toBe(changes);
      told.push(reading.changes.length);
      ({ position } = reading);
    }
    expect(told).toEqual([150, 1, 1, 100, 200]);
  });

  test('from a shortened position may repeat, and misses none', async () => {
    const open: pg.Client[] = [];
    const ids: bigint[] = [];
    for (let i = 0; i < 6; i += 1) {
      const client = await session();
      await client.query('begin');
      await emit(`offen-${i}`, client);
      open.push(client);
      const { rows } = await client.query('select pg_current_xact_id()::text as xid');
      ids.push(BigInt(rows[0].xid));
    }
    await emit('neu');
    const whole = await log.position();
    // Transactions of other databases of the cluster may be open, too.
    expect(whole.xip).toEqual(expect.arrayContaining(ids));
    // As formatPosition() cuts it: at the fourth of the open ones
    const fourth = ids[3] as bigint;
    const short = { ...whole, xmax: fourth, xip: whole.xip.filter((xid) => xid < fourth) };
    for (const client of open) await client.query('commit');
    expect(await namesSince(short)).toEqual([...open.map((_, i) => `offen-${i}`), 'neu']);
    expect(await namesSince(whole)).toEqual(open.map((_, i) => `offen-${i}`));
    for (const client of open) await client.end();
  });

  test('of some resources only', async () => {
    const start = await log.begin();
    await emit('a');
    await emit('b');
    expect(await namesSince(start, ['b', 'c'])).toEqual(['b']);
    expect(await namesSince(start, [])).toEqual([]);
  });

  test.each([
    [
      'one transaction',
      `insert into change_feed.change (resource, details) select 'alt', '{update}' from generate_series(1, 50000)`,
    ],
    [
      'many',
      `insert into change_feed.change (xid, resource, details) select g::text::xid8, 'alt', '{update}' from generate_series(1, 50000) g`,
    ],
  ])('of what is new touches only that, though the log is long and by %s', async (_name, fill) => {
    const start = await log.begin();
    const planned = await planOf(start); // of an empty log, and kept
    await psql.query(fill);
    const planOfLong = await planOf(start);
    await psql.query('analyze change_feed.change'); // makes another
    await emit('neu');
    for (const plan of [planned, planOfLong, await planOf(start)]) {
      expect(plan).not.toMatch(/(Seq|Bitmap Heap) Scan on change /);
      expect(plan.match(/Index Scan using change_xid/g)).toHaveLength(2);
    }
  });

  test('is prepared once, and goes on where its statement has another result after a migration', async () => {
    const start = await log.begin();
    await log.read(start);
    await log.read(start);
    await psql.query('drop view change_feed.status; alter table change_feed.change alter details type varchar(90)[]');
    await expect(log.read(start)).rejects.toThrow('cached plan must not change result type');
    await emit('neu');
    expect((await log.read(start)).changes.map(({ resource }) => resource)).toEqual(['neu']);
  });

  test('of what is new does not look at what open transactions have written, whichever began first', async () => {
    const open = await session();
    const fill = `insert into change_feed.change (resource, details) select 'offen', '{update}' from generate_series(1, 50000)`;
    const before = await log.begin();
    await open.query('begin');
    await open.query(fill);
    const { rows } = await open.query('select pg_current_xact_id()::text as xid');
    await emit('neu');
    const during = (await log.read(before)).position;
    expect(during.xip).toContain(BigInt(rows[0].xid));
    await emit('neuer');
    for (const position of [before, during]) {
      const touched = /Buffers: shared hit=(\d+)/.exec(await planOf(position, 'analyze, buffers'))?.[1];
      expect(Number(touched)).toBeLessThan(300);
    }
    await open.query('commit');
    expect(await namesSince(during)).toEqual(['offen', 'neuer']);
    await open.end();
  });

  /** The plan with which the statement that reads is executed, in one session of the reader's for all of a test. */
  async function planOf(position: Position, options = 'costs'): Promise<string> {
    const statements: pg.QueryConfig[] = [];
    const spy = pg.Pool.prototype.query;
    pg.Pool.prototype.query = function (this: pg.Pool, ...args: unknown[]) {
      statements.push(args[0] as pg.QueryConfig);
      return (spy as (...all: unknown[]) => unknown).apply(this, args);
    } as typeof spy;
    try {
      await log.read(position);
    } finally {
      pg.Pool.prototype.query = spy;
    }
    const [read] = statements;
    const [prepared] = await log.query('select from pg_prepared_statements where name = $1', ['plan']);
    if (!prepared) await log.query(`prepare plan (pg_snapshot, text[], text) as ${read?.text}`);
    const { xmin, xmax, xip } = position;
    const rows = await log.query<{ 'QUERY PLAN': string }>(
      `explain (${options}) execute plan ('${xmin}:${xmax}:${xip.join(',')}', null, 'x')`,
    );
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  }
});

describe('a position is lost', () => {
  test('when a crash has emptied the epoch: a new one begins', async () => {
    const start = await log.begin();
    await psql.query('truncate change_feed.epoch');
    const reading = await log.read(start);
    expect(reading.lost).toBe(true);
    expect(reading.position.epoch).not.toBe(start.epoch);
    expect((await log.read(reading.position)).lost).toBe(false);
  });

  test('when the epoch came along in a dump of another cluster', async () => {
    const start = await log.begin();
    await psql.query('update change_feed.epoch set system_identifier = system_identifier + 1');
    expect((await log.read(start)).lost).toBe(true);
    await psql.query('update change_feed.epoch set database = 1');
    expect((await log.position()).epoch).not.toBe(start.epoch);
  });

  test('after 100,000 changes of whatever resources: a replay of one that never changes scans no more', async () => {
    const start = await log.begin();
    await emit('selten');
    await psql.query(
      `insert into change_feed.change (resource, details) select 'viele', '{update}' from generate_series(1, 99998)`,
    );
    const one = await log.replay(start, ['nie', 'selten']);
    expect(one).toMatchObject({ lost: false, changes: [{ resource: 'selten', operation: 'emit' }] });
    expect(await log.replay(start, ['nie'])).toMatchObject({ lost: false, changes: [] });
    await emit('viele');
    for (const resources of [['nie'], ['selten'], undefined])
      expect((await log.replay(start, resources)).lost).toBe(true);
  });

  test('after 2,000,000 changes for the feed itself: to count more would keep the changes of others waiting', async () => {
    const start = await log.begin();
    await emit('selten');
    const many = (count: number) =>
      psql.query(
        `insert into change_feed.change (resource, details) select 'viele', '{update}' from generate_series(1, ${count})`,
      );
    await many(1_999_998);
    const whole = await log.read(start);
    expect(whole).toMatchObject({ lost: false, changes: [{ resource: 'selten' }, { resource: 'viele' }] });
    await many(1);
    const lost = await log.read(start);
    expect(lost).toMatchObject({ lost: true, changes: [] });
    await emit('neu');
    expect(await log.read(lost.position)).toMatchObject({ lost: false, changes: [{ resource: 'neu' }] });
  });

  test('when it is of the future, or leaves out a transaction that is open', async () => {
    const start = await log.begin();
    expect((await log.replay({ ...start, xmax: start.xmax + 100_000n })).lost).toBe(true);
    const open = await session();
    await open.query(`begin; select change_feed.emit('offen')`);
    await emit('neu'); // only then is the open one below xmax
    const now = await log.position();
    expect(now.xip.length).toBeGreaterThan(0); // those of other tests' databases, too
    expect((await log.replay({ ...now, xip: [] })).lost).toBe(true);
    expect((await log.replay(now)).lost).toBe(false);
    await open.end();
  });

  test('when what it has not seen may have been pruned, and only then', async () => {
    const slow = await session();
    const before = await log.begin();
    await slow.query('begin');
    await emit('slow', slow);
    await emit('old');
    await psql.query('select change_feed.note_tick()');
    const between = (await log.read(before)).position;
    // Older than the retention of 0 s
    expect((await psql.query(`select change_feed.prune('0 s', 1000000)`)).rows[0].prune).toBe(1);
    expect((await log.read(before)).lost).toBe(true);
    expect((await log.read(between)).lost).toBe(false);
    await slow.query('commit');
    // The open transaction was not visible at the tick, so it was not pruned.
    await psql.query(`select change_feed.prune('0 s', 1000000)`);
    expect(await namesSince(between)).toEqual(['slow']);
    await slow.end();
  });
});

test('a log that a dump has carried into a younger cluster is not told again and again, nor is everything lost', async () => {
  await psql.query(`
    insert into change_feed.change (xid, resource, details) values ('900000000', 'alt', '{update}');
    insert into change_feed.horizon (tick, snapshot) values (1, '900000000:900000000:')`);
  await psql.query('truncate change_feed.epoch');
  const start = await log.begin();
  await emit('neu');
  const reading = await log.read(start);
  expect(reading.lost).toBe(false);
  expect(reading.changes.map(({ resource }) => resource)).toEqual(['neu']);
});

describe('pruning', () => {
  test('waits for an epoch: snapshots of the last one say nothing about the ids of the next', async () => {
    const { epoch } = await log.begin();
    await psql.query('select change_feed.note_tick()');
    await emit('alt');
    await psql.query('truncate change_feed.epoch');
    expect(await log.prune(0, 1000)).toBe(0);
    expect((await log.begin()).epoch).not.toBe(epoch);
    expect((await psql.query('table change_feed.tick')).rowCount).toBe(0);
  });

  test('by size keeps about so many, in batches, and leaves writers alone', async () => {
    await log.begin();
    await psql.query(
      `insert into change_feed.change (resource, details) select 'alt', '{update}' from generate_series(1, 25000)`,
    );
    const writer = await session();
    await writer.query('begin');
    await emit('offen', writer);
    await log.prune(86_400, 1000);
    expect((await psql.query('select from change_feed.change')).rowCount).toBe(25_000);
    // Of the tick that the first call has noted, more having been written until the next.
    await psql.query(
      `insert into change_feed.change (resource, details) select 'neu', '{update}' from generate_series(1, 2000)`,
    );
    await psql.query(`update change_feed.tick set at = at - interval '1 min'`);
    expect(await log.prune(86_400, 1000)).toBe(25_000);
    await writer.query('commit');
    expect((await psql.query(`select distinct resource from change_feed.change order by 1`)).rows).toEqual([
      { resource: 'neu' },
      { resource: 'offen' },
    ]);
    await writer.end();
  });

  test('is done by one at a time', async () => {
    await log.begin();
    const other = await session();
    await other.query('begin; lock table change_feed.horizon in share update exclusive mode');
    await emit('alt');
    await psql.query('select change_feed.note_tick()');
    expect(await log.prune(0, 1000)).toBe(0);
    await other.query('rollback');
    expect(await log.prune(0, 1000)).toBe(1);
    await other.end();
  });
});

describe('change_feed.position()', () => {
  test('is of the same moment as the rows of its statement: VOLATILE it would run ahead of them, and lose', async () => {
    await log.begin();
    const reader = await session();
    await psql.query('select pg_advisory_lock(1)');
    // Its rows are of its begin; the position is made after the lock, when more has committed.
    const reading =
      reader.query(`select change_feed.position() as position, (select count(*) from change_feed.change)::int as rows
      from (select pg_advisory_lock(1)) as waits`);
    const waits = `select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`;
    await until(async () => (await psql.query(waits)).rowCount === 1, 'the reader to wait');
    await emit('danach');
    await psql.query('select pg_advisory_unlock(1)');
    const [row] = (await reading).rows;
    expect(row.rows).toBe(0);
    expect(await namesSince(parsePosition(row.position) as Position)).toEqual(['danach']);
    await reader.end();
  });

  test('raises in a transaction that has written: its own changes would be left out', async () => {
    await log.begin();
    await psql.query('begin');
    await psql.query('select change_feed.position()');
    await emit('a');
    await expect(psql.query('select change_feed.position()')).rejects.toThrow('this transaction has written');
    await psql.query('rollback');
  });
});

describe('the names of what is in the log', () => {
  const nextTick = async () => {
    await psql.query(`update change_feed.tick set at = at - interval '1 min'`);
    await psql.query('select change_feed.note_tick()');
  };
  const names = async () => (await log.loggedResources()).sort();

  test('are noted with each tick, and read with those since, also of transactions that were open then', async () => {
    await log.begin();
    await emit('vor-allem');
    await nextTick();
    const writer = await session();
    await writer.query('begin');
    await emit('offen', writer);
    await emit('dann');
    await nextTick();
    expect(await names()).toEqual(['dann', 'vor-allem']);
    await writer.query('commit');
    await emit('zuletzt');
    expect(await names()).toEqual(['dann', 'offen', 'vor-allem', 'zuletzt']);
    await nextTick();
    expect(await names()).toEqual(['dann', 'offen', 'vor-allem', 'zuletzt']);
    // From the ticks alone, not from the log
    await psql.query('truncate change_feed.change');
    expect(await names()).toEqual(['dann', 'offen', 'vor-allem', 'zuletzt']);
    await writer.end();
  });

  test('go with what is pruned, and stay where the ticks are gone', async () => {
    await log.begin();
    await emit('alt');
    await nextTick();
    await emit('neu');
    await nextTick();
    await psql.query(`update change_feed.tick set at = at - interval '1 hour' where resources = '{alt}'`);
    await log.prune(600, 1000);
    await nextTick();
    await psql.query(`update change_feed.tick set at = at - interval '1 hour' where resources = '{neu}'`);
    await log.prune(600, 1000);
    expect(await names()).toEqual(['neu']);
    await psql.query('delete from change_feed.tick');
    await emit('zuletzt');
    expect(await names()).toEqual(['zuletzt']);
  });
});
