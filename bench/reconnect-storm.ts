import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.js';
import { countQueries } from './query-counter.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { ourStream, startOurs } from './targets.js';

/** Ten thousand clients that come back at once, from before what the server remembers. */
export const reconnectStorm: Bench = {
  name: 'reconnect-storm',
  about: '10,000 clients come back at once with positions older than the memory; queries to the database for it',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    const { session } = database;
    await session.query(`create table gemessen (id int primary key, wert int); insert into gemessen values (1, 0);
      select change_feed.watch('gemessen')`);
    const count = scale(10_000, 500);
    const counter = await countQueries(database.url);
    const server = await startOurs(database.url, undefined, {
      LISTEN_DATABASE_URL: counter.url,
      DATABASE_URL: counter.url,
    });
    const staying = await Readers.open(100, await ourStream(server.port, 'resources=mittendrin'));
    // Ten places where they were, and after each more changes than the server remembers
    const places: string[] = [];
    for (let i = 0; i < 10; i += 1) {
      const { rows } = await session.query(`select change_feed.position() as place`);
      places.push(rows[0].place);
      for (let j = 0; j < 300; j += 1) await session.query('update gemessen set wert = wert + 1');
    }
    await delay(1500);
    counter.take();
    const begun = performance.now();
    const coming = Promise.all(
      places.map(async (place) =>
        Readers.open(count / places.length, await ourStream(server.port, `resources=gemessen&lastEventId=${place}`)),
      ),
    );
    await delay(scale(1000, 100));
    const sent = Date.now();
    await session.query(`select change_feed.emit('mittendrin')`);
    const { lastAt } = await staying.until(({ told }) => told === 100);
    const storm = await coming;
    const opened = performance.now() - begun;
    const reports = await Promise.all(
      storm.map((readers) => readers.until(({ told }) => told === count / places.length)),
    );
    const took = performance.now() - begun;
    const texts = counter.take();
    // The feed's own, which it would have sent anyway
    await session.query(`select change_feed.emit('mittendrin')`);
    await delay(took);
    const own = counter.take().length;
    const sum = (of: (report: (typeof reports)[number]) => number) =>
      reports.reduce((total, report) => total + of(report), 0);
    printTable(
      [
        'clients',
        'resumed',
        'open after, ms',
        'statements to the database',
        'in the same time without a storm',
        'a change amid it reaches those who stayed after, ms',
      ],
      [
        [
          String(count),
          String(sum(({ resumed }) => resumed)),
          round(opened),
          String(texts.length),
          String(own),
          round(lastAt - sent),
        ],
      ],
    );
    const kinds = new Map<string, number>();
    for (const text of texts) {
      const kind = text.trim().replace(/\s+/g, ' ').slice(0, 60);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    printTable(
      ['statement', 'times'],
      [...kinds].map(([kind, times]) => [`\`${kind}\``, times]),
    );
    await Promise.all([...storm, staying].map((readers) => readers.end()));
    await server.stop();
    counter.close();
    await database.drop();
  },
};
