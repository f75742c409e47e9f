import type { Bench } from './bench.js';
import { countQueries } from './query-counter.js';
import { Readers } from './readers.js';
import { printTable, round } from './report.js';
import { ourStream, startOurs } from './targets.js';

/** A herd: everybody refetches the same list after one change. */
export const lists: Bench = {
  name: 'lists',
  about: '1,000 clients refetch the same list after one change; queries to the database for it',
  run: async ({ postgres, scale }) => {
    const database = await postgres.createDatabase();
    await database.session.query(`insert into veranstaltung
      (name, beginn, ende, meldebeginn, meldeschluss, max_teilnehmende, teilnahmegebuehr)
      select 'Fest ' || g, '2030-07-01', '2030-07-02', '2030-01-01 00:00Z', '2030-06-01 00:00Z', 100, 0
      from generate_series(1, 100) g`);
    const count = scale(1000, 200);
    const counter = await countQueries(database.url);
    const server = await startOurs(database.url, undefined, {
      DATABASE_URL: counter.url,
      LISTEN_DATABASE_URL: database.url,
    });
    const stream = await ourStream(server.port, 'resources=veranstaltung');
    const readers = await Readers.open(count, stream);
    await database.session.query(`update veranstaltung set ort = 'Kiel' where id = 1`);
    await readers.until(({ told }) => told === count);
    counter.take();
    const begun = performance.now();
    const url = `http://127.0.0.1:${server.port}/api/veranstaltungen`;
    const answers = await Promise.all(
      Array.from({ length: count }, async () => (await fetch(url, { headers: { ...stream.headers } })).text()),
    );
    const took = performance.now() - begun;
    const texts = counter.take().filter((text) => text.includes('veranstaltung'));
    printTable(
      ['requests', 'different answers', 'statements for it', 'all answered after, ms'],
      [[String(count), String(new Set(answers).size), String(texts.length), round(took)]],
    );
    await readers.end();
    await server.stop();
    counter.close();
    await database.drop();
  },
};
