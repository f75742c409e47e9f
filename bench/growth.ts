import { ChangeLog } from '../src/feed/log/change-log.js';
import type { Bench } from './bench.js';
import { connect } from './database.js';
import { cpuTime } from './processes.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { median } from './statistics.js';
import { ourStream, startOurs } from './targets.js';

/** What must not grow: reading what is new, with the log, with open transactions; a change, with who did not subscribe. */
export const growth: Bench = {
  name: 'growth',
  about: 'the cost of reading one new change, of a position far in the past, and of changes nobody subscribed to',
  run: async (context) => {
    await reading(context);
    await audience(context);
  },
};

async function reading({ postgres, scale }: Parameters<Bench['run']>[0]): Promise<void> {
  const database = await postgres.createDatabase();
  const { session } = database;
  const log = new ChangeLog(database.url, () => {});
  const rows: string[][] = [];
  const first = await log.begin();
  const note = async (name: string) => {
    const times: number[] = [];
    for (let i = 0; i < scale(200, 20); i += 1) {
      const start = await log.position();
      await session.query(`select change_feed.emit('neu')`);
      const begun = performance.now();
      await log.read(start);
      times.push(performance.now() - begun);
    }
    const begun = performance.now();
    const { lost } = await log.replay(first);
    rows.push([name, round(median(times)), `${round(performance.now() - begun)}${lost ? ', lost' : ''}`]);
  };
  await note('an empty log');
  let length = 0;
  for (const until of [100_000, 1_000_000, 10_000_000].slice(0, scale(3, 1))) {
    // Of many transactions, as a log is
    for (; length < until; length += 100_000) {
      await session.query(`insert into change_feed.change (xid, resource, details, keys)
        select (pg_current_xact_id()::text::int8 - 1)::text::xid8, 'alt', '{update}', '[1]' from generate_series(1, 100000)`);
    }
    await session.query('vacuum analyze change_feed.change');
    await note(`${until.toLocaleString('en')} rows in the log`);
  }
  const open = await connect(database.url);
  await open.query('begin');
  const changes = scale(360_000, 10_000);
  await open.query(`insert into change_feed.change (resource, details, keys)
    select 'offen', '{update}', '[1]' from generate_series(1, ${changes})`);
  await note(`and ${changes.toLocaleString('en')} of one open transaction`);
  await open.query('rollback');
  await open.end();
  printTable(['', 'reading one new change, ms (median)', 'a position from before all of it, ms'], rows);
  await log.close();
  await database.drop();
}

async function audience({ postgres, scale }: Parameters<Bench['run']>[0]): Promise<void> {
  const database = await postgres.createDatabase();
  await database.session.query(`create table gemessen (id int primary key, wert int); insert into gemessen values (1, 0);
    create table andere (id int primary key, wert int); insert into andere values (1, 0);
    select change_feed.watch('gemessen'), change_feed.watch('andere')`);
  const rows: string[][] = [];
  for (const count of scale(1, 0) ? [10, 100, 1000, 10_000, 15_000] : [10, 100]) {
    const server = await startOurs(database.url, 0);
    const readers = await Readers.open(count, await ourStream(server.port, 'resources=gemessen'));
    const cost = async (table: string, changes: number) => {
      const before = cpuTime(server.pid);
      for (let i = 0; i < changes; i += 1) {
        await database.session.query(`update ${table} set wert = wert + 1`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return (cpuTime(server.pid) - before) / changes / 1000;
    };
    await cost('andere', 5);
    const others = await cost('andere', scale(40, 5));
    const own = await cost('gemessen', scale(20, 5));
    rows.push([count.toLocaleString('en'), round(others), round(own)]);
    await readers.end();
    await server.stop();
  }
  printTable(['readers of gemessen', 'CPU of a change of another table, ms', 'CPU of a change of theirs, ms'], rows);
  const many: string[][] = [];
  for (const resources of scale(1, 0) ? [1, 10, 100] : [1, 10]) {
    const server = await startOurs(database.url, 0);
    const names = Array.from({ length: resources }, (_, place) => `r${place}`);
    const readers = await Readers.open(1000, await ourStream(server.port, `resources=${names.join(',')}`));
    const before = cpuTime(server.pid);
    const changes = scale(40, 5);
    for (let i = 0; i < changes; i += 1) {
      await database.session.query('select change_feed.emit($1)', [names[i % resources]]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    many.push([String(resources), round((cpuTime(server.pid) - before) / changes / 1000)]);
    await readers.end();
    await server.stop();
  }
  printTable(['resources of each of 1,000 readers', 'CPU of a change, ms'], many);
  await database.drop();
}
