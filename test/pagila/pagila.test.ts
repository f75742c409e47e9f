import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../src/package-root.js';
import { CLI, CommandLine, type RunningProgram } from '../command-line.js';
import { type EventStream, openStream } from '../event-stream.js';
import { freePort } from '../free-port.js';
import { createOwnedDatabase, type OwnedDatabase } from '../owned-database.js';
import { until } from '../until.js';

// The whole, from the command line alone, on a schema like Pagila, by an owner who is no superuser.

let database: OwnedDatabase;
let programs: CommandLine;
let env: Record<string, string>;
let url: string;
let server: RunningProgram;
const streams: EventStream[] = [];

beforeAll(async () => {
  database = await createOwnedDatabase('pagila');
  await database.psql.query(await readFile(join(packageRoot, 'test/pagila/pagila.sql'), 'utf8'));
  programs = new CommandLine(database.folder);
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  env = { DATABASE_URL: database.url, JWT_SECRET: 'x'.repeat(32), HOST: '127.0.0.1', PORT: String(port) };
});

afterAll(async () => {
  for (const stream of streams) stream.close();
  programs.stop();
  await database.drop();
});

function cli(...args: string[]): string {
  const { status, stdout, stderr } = programs.run(CLI, args, env);
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

async function open(resources: string, sub = 'ada', headers: Record<string, string> = {}): Promise<EventStream> {
  const Authorization = `Bearer ${cli('token', '--sub', sub).trim()}`;
  const query = new URLSearchParams({ resources });
  const stream = await openStream(`${url}/api/events?${query}`, { Authorization, ...headers });
  streams.push(stream);
  await stream.clientId();
  return stream;
}

/** Lists the changes that a stream receives of some statements, each as `resource operation keys`; the last statement marks the end. */
async function told(stream: EventStream, statements: string): Promise<string[]> {
  const before = stream.events.length;
  await database.psql.query(statements);
  await database.psql.query(`select change_feed.emit('ende')`);
  await until(() => stream.events.slice(before).some(({ data }) => data.resource === 'ende'), 'the end');
  return stream.events
    .slice(before)
    .filter(({ event, data }) => event === 'table-update' && data.resource !== 'ende')
    .map(({ data }) => [data.resource, data.operation, JSON.stringify(data.keys)].filter(Boolean).join(' '));
}

test('migrates, watches all tables but one, and the doctor finds nothing that fails', () => {
  expect(cli('migrate')).toContain('Migrated: 000-schema.sql');
  expect(cli('watch', 'inventory', '--scope', 'store_id')).toBe("watching public.inventory as 'inventory'\n");
  expect(cli('watch', 'customer', '--no-keys')).toBe("watching public.customer as 'customer'\n");
  const tables = ['actor', 'film', 'film_actor', 'language', 'payment', 'rating_note', 'rental', 'store'];
  expect(cli('watch', '--all', '--except', 'film_audit')).toBe(
    tables.map((table) => `watching public.${table} as '${table}'\n`).join(''),
  );
  const findings = JSON.parse(cli('doctor', '--json', ...tables)) as { level: string }[];
  expect(findings.filter(({ level }) => level === 'fail')).toEqual([]);
});

test('serves, and tells each kind of write in its order', async () => {
  server = programs.start(process.execPath, [CLI, 'serve'], env);
  await until(
    () => server.said().includes('"serving"'),
    () => `the server, which said ${server.said()},`,
  );
  const stream = await open('*');
  // A domain, an enum, an array, and triggers that change the row and write elsewhere
  expect(
    await told(
      stream,
      `insert into film (title, code, language_id, release_year, rating) values ('ADAPTATION HOLES', 'AH-3', 1, 2006, 'NC-17')`,
    ),
  ).toEqual(['film insert [3]']);
  expect(
    await told(
      stream,
      `update film set title = 'AFFAIR PREJUDICE', special_features = '{Commentaries}' where film_id = 3`,
    ),
  ).toEqual(['film update [3]']);
  // Composite keys of an enum and a domain, which are texts, and a key that changes
  expect(await told(stream, `insert into rating_note values ('PG-13', 2006, 'a note')`)).toEqual([
    'rating_note insert [["PG-13","2006"]]',
  ]);
  expect(await told(stream, `update rating_note set since = 2007`)).toEqual([
    'rating_note update [["PG-13","2006"],["PG-13","2007"]]',
  ]);
  // A cascade
  expect((await told(stream, 'delete from actor where actor_id = 1')).sort()).toEqual([
    'actor delete [1]',
    'film_actor delete [[1,1],[1,2]]',
  ]);
  // bigint keys, a range
  expect(
    await told(
      stream,
      `insert into rental (inventory_id, customer_id, period) values (1, 1, '[2022-01-01,2022-01-03)')`,
    ),
  ).toEqual(['rental insert ["1"]']);
  // No keys, and a write through a view
  expect(await told(stream, `update customer_list set email = 'mary.smith@example.org' where customer_id = 1`)).toEqual(
    ['customer update'],
  );
  // An upsert, and COPY's kin: many rows in one statement
  expect(
    await told(
      stream,
      `insert into language values (1, 'Englisch'), (3, 'Italian') on conflict (language_id) do update set name = excluded.name`,
    ),
  ).toEqual(['language update [1]', 'language insert [3]']);
  expect(
    await told(stream, `insert into actor (first_name, last_name) select 'A', 'B' from generate_series(1, 101)`),
  ).toEqual(['actor insert']);
  expect(await told(stream, 'refresh materialized view rental_by_film; update film_audit set title = null')).toEqual(
    [],
  );
  expect(await told(stream, 'begin; delete from rental; rollback')).toEqual([]);
});

test('partitions report their parent, also one that is attached and then watched, and a row that moves', async () => {
  const stream = await open('payment,ende');
  const payment = (date: string) => `(customer_id, rental_id, amount, payment_date) values (1, 1, 4.99, '${date}')`;
  expect(
    await told(
      stream,
      `insert into payment ${payment('2022-01-24')}; insert into payment_p2022_02 (payment_id, customer_id, amount, payment_date)
        overriding system value values (2, 1, 4.99, '2022-02-01')`,
    ),
  ).toEqual(['payment insert [["2022-01-24","1"]]', 'payment insert [["2022-02-01","2"]]']);
  expect(await told(stream, `update payment set payment_date = '2022-02-24' where payment_id = 1`)).toEqual([
    'payment update [["2022-01-24","1"],["2022-02-24","1"]]',
  ]);
  await database.psql.query(`create table payment_p2022_03 (like payment including defaults);
    alter table payment attach partition payment_p2022_03 for values from ('2022-03-01') to ('2022-04-01')`);
  expect(cli('watch', 'payment')).toBe("watching public.payment as 'payment'\n");
  expect(
    (
      await told(
        stream,
        `insert into payment_p2022_03 (payment_id, customer_id, amount, payment_date)
    overriding system value values (9, 1, 1, '2022-03-01')`,
      )
    ).at(-1),
  ).toBe('payment insert [["2022-03-01","9"]]');
});

test('a scope, a subscription by POST, a resume, and rights that are withdrawn', async () => {
  const scoped = await open('inventory?store_id=1,ende');
  expect(
    await told(
      scoped,
      `insert into inventory (film_id, store_id) values (2, 2); update inventory set store_id = 1 where inventory_id = 2`,
    ),
  ).toEqual(['inventory update [2]']);
  const clientId = await scoped.clientId();
  const response = await fetch(`${url}/api/events/subscribe`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${cli('token', '--sub', 'ada').trim()}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ clientId, resource: 'store' }),
  });
  expect(await response.json()).toEqual({ success: true, resource: 'store', watched: true });
  expect(await told(scoped, 'insert into store default values')).toEqual(['store insert [3]']);

  const lastEventId = scoped.lastEventId() ?? '';
  scoped.close();
  await database.psql.query('truncate payment');
  const resumed = await open('payment', 'eve', { 'Last-Event-ID': lastEventId });
  await resumed.next(({ data }) => data.resource === 'payment' && data.operation === 'truncate');
  await database.psql.query(`select change_feed.end_streams('eve')`);
  await until(() => resumed.ended(), 'the end of the stream');
  expect(resumed.events.at(-1)?.event).toBe('revoked');
});

test('stops with SIGTERM, and removes itself without a trace', async () => {
  server.child.kill('SIGTERM');
  await until(() => server.child.exitCode !== null, 'the server to end');
  expect(server.child.exitCode).toBe(0);
  await database.psql.query(`begin; select change_feed.unwatch(relation) from change_feed.watched_table;
    set constraints change_feed.notify_at_commit immediate; drop schema change_feed cascade; commit`);
  const { rows } = await database.psql.query(
    `select distinct tgname from pg_trigger where not tgisinternal order by 1`,
  );
  expect(rows.map(({ tgname }) => tgname)).toEqual(['audit_film', 'film_fulltext_trigger', 'last_updated']);
});
