import { setTimeout as delay } from 'node:timers/promises';
import { ChangeLog } from '../src/feed/log/change-log.js';
import type { Bench, BenchContext } from './bench.js';
import { type BenchDatabase, connect } from './database.js';
import { openRawStream } from './raw-stream.js';
import { printTable, round } from './report.js';
import { median } from './statistics.js';
import { startOurs } from './targets.js';

/** Two hours at 200 writes a second, with a pruning each minute that keeps the last ten of them. */
const MINUTES = 120;
const WRITES_PER_MINUTE = 12_000;
const KEPT_S = 600;

/** Transactions that last: one stays open beside writers and pruning; one has ten million changes. */
export const longLived: Bench = {
  name: 'long-lived',
  about:
    'reads, pruning and the log beside a transaction that stays open; other changes beside one of 10 million changes',
  run: async (context) => {
    await besideOpenTransaction(context);
    await besideLargeTransaction(context);
  },
};

/** The writes of two hours, as fast as they can be made: what they leave behind depends on their number. */
async function besideOpenTransaction({ postgres, scale }: BenchContext): Promise<void> {
  const database = await postgres.createDatabase();
  const { session, url } = database;
  await session.query(`create table gemessen (id int primary key, wert int);
    insert into gemessen select g, 0 from generate_series(0, 99999) g;
    select change_feed.watch('gemessen');
    -- Over many rows: the versions of one that are kept would slow down the writes themselves.
    create procedure write(times integer) language plpgsql as $$
      begin
        for i in 1 .. times loop
          update gemessen set wert = wert + 1 where id = i % 99999;
          commit;
        end loop;
      end
    $$;
    set synchronous_commit = off`);
  const log = new ChangeLog(url, () => {});
  await log.begin();
  const open = await connect(url);
  await open.query('begin; update gemessen set wert = 1 where id = 99999');

  const rows: string[][] = [];
  let prunings: number[] = [];
  const note = async (name: string) => {
    const reads: number[] = [];
    for (let i = 0; i < 100; i += 1) {
      const start = await log.position();
      await session.query(`select change_feed.emit('neu')`);
      const begun = performance.now();
      await log.read(start);
      reads.push(performance.now() - begun);
    }
    const size = await session.query<{
      mb: number;
      live: string;
    }>(`select pg_total_relation_size('change_feed.change') / 1e6 as mb,
      (select count(*) from change_feed.change) as live`);
    const { mb = 0, live = 0 } = size.rows[0] ?? {};
    const pruning = prunings.length > 0 ? round(median(prunings)) : '';
    rows.push([
      name,
      round(median(reads)),
      round(Math.max(...reads)),
      pruning,
      round(Number(mb)),
      Number(live).toLocaleString('en'),
    ]);
    prunings = [];
  };
  await note('at its start');
  for (let minute = 1; minute <= scale(MINUTES, 8); minute += 1) {
    await session.query('call write($1)', [WRITES_PER_MINUTE]);
    await session.query(`update change_feed.tick set at = at - interval '1 min'`);
    const begun = performance.now();
    await log.prune(KEPT_S, Number.MAX_SAFE_INTEGER);
    prunings.push(performance.now() - begun);
    if (minute % scale(30, 4) === 0) await note(`after ${minute} minutes`);
  }
  await open.query('rollback');
  await open.end();
  await log.prune(KEPT_S, Number.MAX_SAFE_INTEGER);
  await session.query('vacuum change_feed.change');
  await note('after its end and a VACUUM');
  printTable(
    [
      'a transaction stays open',
      'read of one new change, ms (median)',
      'longest',
      'pruning, ms (median)',
      'log, MB',
      'changes in it',
    ],
    rows,
  );
  await log.close();
  await database.drop();
}

async function besideLargeTransaction({ postgres, scale }: BenchContext): Promise<void> {
  const database = await postgres.createDatabase();
  const changes = scale(10_000_000, 200_000);
  const server = await startOurs(database.url);
  const others = await Others.begin(database, server.port);
  const rows: string[][] = [];
  const during = async (name: string, work: () => Promise<unknown>) => {
    others.forget();
    const begun = performance.now();
    await work();
    const took = (performance.now() - begun) / 1000;
    await delay(3000);
    await others.until();
    const delays = others.readers.flatMap(({ delays }) => [round(median(delays)), round(Math.max(...delays))]);
    rows.push([name, round(took), ...delays]);
  };
  const writer = await connect(database.url);
  await during('before', () => delay(3000));
  // A second time, too: the server knows by then how long a read takes.
  for (const time of ['', ', again']) {
    await writer.query('begin');
    await during(`${changes.toLocaleString('en')} changes are written${time}`, () =>
      // The rows that the recorder would write, without the writes of which they tell
      writer.query(`insert into change_feed.change (resource, details, keys)
        select 'gross-' || g % 100, '{update}', '[1]' from generate_series(1, ${changes}) g`),
    );
    await during(`their COMMIT${time}`, () => writer.query('commit'));
    await during('after it', () => delay(3000));
  }
  printTable(
    ['', 'took, s', ...others.readers.flatMap(({ name }) => [`to ${name} after, ms (median)`, 'longest'])],
    rows,
  );
  await writer.end();
  await others.end();
  await server.stop();
  await database.drop();
}

/** The names that other changes have in turn, and the time between two of them, in ms: none is used again before it has arrived. */
const NAMES = 90;
const PAUSE_MS = 100;

/** A reader of the other changes. */
interface Reader {
  readonly name: string;
  /** The changes that it has not received, and when each was sent, by performance.now(). */
  readonly awaited: Map<string, number>;
  delays: number[];
}

/** Others write ten changes a second; one reader has their names, another all names. */
class Others {
  readonly readers: Reader[] = [];
  #ended = false;
  #end = async () => {};

  static async begin(database: BenchDatabase, port: number): Promise<Others> {
    const others = new Others();
    const names = Array.from({ length: NAMES }, (_, place) => `eilig-${place}`);
    const sockets = [
      await others.#open('a reader of other resources', port, names.join(',')),
      await others.#open('a reader of *', port, '*'),
    ];
    const session = await connect(database.url);
    const writing = others.#write(session);
    others.#end = async () => {
      others.#ended = true;
      await writing;
      for (const socket of sockets) socket.destroy();
      await session.end();
    };
    return others;
  }

  forget(): void {
    for (const reader of this.readers) reader.delays = [];
  }

  /** Resolves when every change has arrived that was written before the call. */
  async until(): Promise<void> {
    const end = performance.now();
    const isLate = ({ awaited }: Reader) => [...awaited.values()].some((at) => at < end);
    while (this.readers.some(isLate)) await delay(10);
  }

  end = () => this.#end();

  async #open(name: string, port: number, resources: string) {
    const reader: Reader = { name, awaited: new Map(), delays: [] };
    const socket = await openRawStream(port, `resources=${encodeURIComponent(resources)}`);
    socket.on('data', (chunk) => {
      for (const [, named = ''] of chunk.toString().matchAll(/"resource":"(eilig-\d+)"/g)) {
        const at = reader.awaited.get(named);
        if (at === undefined) continue;
        reader.delays.push(performance.now() - at);
        reader.awaited.delete(named);
      }
    });
    this.readers.push(reader);
    return socket;
  }

  async #write(session: Awaited<ReturnType<typeof connect>>): Promise<void> {
    for (let number = 1; !this.#ended; number += 1) {
      const name = `eilig-${number % NAMES}`;
      for (const { awaited } of this.readers) if (!awaited.has(name)) awaited.set(name, performance.now());
      await session.query(`select change_feed.emit('${name}')`);
      await delay(PAUSE_MS);
    }
  }
}
