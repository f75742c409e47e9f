import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, BenchContext } from './bench.js';
import { countQueries } from './query-counter.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { allTargets, ourStream, startOurs } from './targets.js';

/** The places where the clients were. */
const PLACES = 10;

/** Ten thousand clients that come back at once, from before what the server remembers: of one table, and of a scope each. */
export const reconnectStorm: Bench = {
  name: 'reconnect-storm',
  about: '10,000 clients come back at once with positions older than the memory; queries to the database for it',
  run: async (context) => {
    const storms = [
      await storm(context, 'gemessen', 'a table'),
      await storm(context, 'gemessen%3Fmandant%3D{n}', 'a scope each'),
    ];
    printTable(
      [
        'clients of',
        'clients',
        'resumed',
        'open after, ms',
        'statements to the database',
        'in the same time without a storm',
        'a change amid it reaches those who stayed after, ms',
      ],
      storms.map(({ row }) => row),
    );
    const plainMs = await plainStreams(context);
    printTable(
      [
        '10,000 plain streams of better-sse open after, ms',
        ...storms.map(({ of }) => `ours of ${of} in relation to it`),
      ],
      [[round(plainMs), ...storms.map(({ openedMs }) => round(openedMs / plainMs))]],
    );
    for (const { of, texts } of storms) {
      const kinds = new Map<string, number>();
      for (const text of texts) {
        const kind = text.trim().replace(/\s+/g, ' ').slice(0, 60);
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      }
      printTable(
        [`statements of the storm of ${of}`, 'times'],
        [...kinds].map(([kind, times]) => [`\`${kind}\``, times]),
      );
    }
  },
};

/** @returns the time in which as many plain streams of better-sse open, from as many processes of readers, in ms. */
async function plainStreams({ postgres, scale }: BenchContext): Promise<number> {
  const database = await postgres.createDatabase();
  const target = allTargets(database).find(({ name }) => name.startsWith('better-sse'));
  if (!target) throw new Error('better-sse is not among the targets');
  const server = await target.start();
  const perPlace = scale(10_000, 500) / PLACES;
  const begun = performance.now();
  const readers = await Promise.all(Array.from({ length: PLACES }, () => Readers.open(perPlace, server.stream)));
  const opened = performance.now() - begun;
  await Promise.all(readers.map((some) => some.end()));
  await server.stop();
  await database.drop();
  return opened;
}

/** @param topic what each client is subscribed to; `{n}` in it is its number. @param of the same for people. */
async function storm({ postgres, scale }: BenchContext, topic: string, of: string) {
  const database = await postgres.createDatabase();
  const { session } = database;
  const count = scale(10_000, 500);
  const perPlace = count / PLACES;
  await session.query(`create table gemessen (id int primary key, mandant int, wert int);
    insert into gemessen select i, i, 0 from generate_series(1, ${perPlace}) i;
    select change_feed.watch('gemessen', scopes => '{mandant}')`);
  const counter = await countQueries(database.url);
  const server = await startOurs(database.url, undefined, {
    LISTEN_DATABASE_URL: counter.url,
    DATABASE_URL: counter.url,
  });
  const staying = await Readers.open(100, await ourStream(server.port, 'resources=mittendrin'));
  // Places where they were, and after each more changes than the server remembers
  const places: string[] = [];
  for (let i = 0; i < PLACES; i += 1) {
    const { rows } = await session.query(`select change_feed.position() as place`);
    places.push(rows[0].place);
    for (let j = 1; j <= 300; j += 1) {
      await session.query('update gemessen set wert = wert + 1 where id = $1', [1 + (j % perPlace)]);
    }
  }
  // Each client has missed something
  await session.query('update gemessen set wert = wert + 1');
  await delay(1500);
  counter.take();
  const begun = performance.now();
  const coming = Promise.all(
    places.map(async (place, i) =>
      Readers.open(perPlace, await ourStream(server.port, `resources=${topic}&lastEventId=${place}`, `bench ${i}`)),
    ),
  );
  await delay(scale(1000, 100));
  const sent = Date.now();
  await session.query(`select change_feed.emit('mittendrin')`);
  const { lastAt } = await staying.until(({ told }) => told === 100);
  const back = await coming;
  const opened = performance.now() - begun;
  const reports = await Promise.all(back.map((readers) => readers.until(({ told }) => told === perPlace)));
  const took = performance.now() - begun;
  const texts = counter.take();
  // The feed's own, which it would have sent anyway
  await session.query(`select change_feed.emit('mittendrin')`);
  await delay(took);
  const own = counter.take().length;
  const resumed = reports.reduce((total, report) => total + report.resumed, 0);
  await Promise.all([...back, staying].map((readers) => readers.end()));
  await server.stop();
  counter.close();
  await database.drop();
  return {
    of,
    texts,
    openedMs: opened,
    row: [of, String(count), String(resumed), round(opened), String(texts.length), String(own), round(lastAt - sent)],
  };
}
