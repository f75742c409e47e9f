import type { Bench } from './bench.js';
import { printTable, round } from './report.js';
import { median, medianRatio } from './statistics.js';

const ROWS = { narrow: 100_000, wide: 10_000 };

/** What one statement of many rows pays, for narrow and for wide rows, with keys and without. */
export const bulkUpdate: Bench = {
  name: 'bulk-update',
  about: 'one UPDATE of 100,000 narrow rows, or 10,000 wide ones, in relation to the same unwatched',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const { session } = database;
    const rows: string[][] = [];
    for (const width of [0, 100, 1000, 10_000].slice(0, scale(4, 2))) {
      const count = width < 1000 ? ROWS.narrow : ROWS.wide;
      const times = { unwatched: [] as number[], keys: [] as number[], none: [] as number[] };
      for (const name of Object.keys(times)) {
        await session.query(`drop table if exists ${name};
          create table ${name} (id int primary key, wert int not null, text text);
          alter table ${name} alter text set storage plain;
          insert into ${name} select g, 0, repeat('x', least(${width}, 7900)) from generate_series(1, ${count}) g`);
      }
      await session.query(`select change_feed.watch('keys'), change_feed.watch('none', keys => false)`);
      for (let turn = 0; turn < scale(7, 2); turn += 1) {
        for (const [name, values] of Object.entries(times)) {
          await session.query(`vacuum ${name}`);
          await session.query('checkpoint');
          const begun = performance.now();
          await session.query(`update ${name} set wert = wert + 1`);
          values.push(performance.now() - begun);
        }
      }
      rows.push([
        `${count.toLocaleString('en')} of about ${Math.min(width, 7900) + 40} bytes`,
        round(median(times.unwatched)),
        round(medianRatio(times.keys, times.unwatched)),
        round(medianRatio(times.none, times.unwatched)),
      ]);
    }
    printTable(['rows', 'unwatched, ms', 'watched / unwatched', 'watched without keys / unwatched'], rows);
    const { rows: logged } = await session.query(
      'select count(*)::int as events, count(distinct xid)::int as statements from change_feed.change',
    );
    console.log(`${logged[0].statements} watched statements made ${logged[0].events} events.\n`);
    await database.drop();
  },
};
