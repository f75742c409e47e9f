import { setTimeout as delay } from 'node:timers/promises';
import type { Fault, Target } from '../fault.js';
import type { WriterHabits } from '../writers.js';

/** So few changes that what a client missed is told one by one: a refetch would hide that some were left out. */
const FEW: WriterHabits = { count: 3, pauseMs: 400 };

const DAYS = 24 * 3600 * 1000;

/** Faults of Postgres as a whole, and of what is in it. */
export const POSTGRES_FAULTS: readonly Fault[] = [
  { name: 'Postgres restarted (fast)', strike: ({ postgres }) => postgres.restart() },
  {
    name: 'Postgres crashed (immediate) right after rollbacks, with asynchronous commits',
    writers: { ...FEW, asynchronous: true },
    mayLose: true,
    strike: async (target) => {
      const { postgres } = target;
      await delay(1500);
      // Their ids are not in the log of a Postgres that crashes now, and it gives them to others.
      await postgres.sql(endedIds(200));
      await delay(300);
      const wakeUp = letOneBeIdle(target);
      await postgres.crash();
      await untilIdsAreReused(target);
      wakeUp();
    },
  },
  {
    name: 'a standby that lags 1.5 s behind promoted in place of a primary that is gone without a FIN',
    writers: FEW,
    mayLose: true,
    strike: async (target) => {
      const ways = target.servers.running.map(({ back }) => back);
      let wakeUp = () => {};
      await target.postgres.failOver(1500, () => {
        wakeUp = letOneBeIdle(target);
        for (const way of ways) way.goSilent();
      });
      await delay(4000);
      for (const way of ways) way.bury();
      await untilIdsAreReused(target);
      wakeUp();
    },
  },
  {
    name: 'a transaction left open and idle, beside 100 other writers',
    writers: { count: 100, pauseMs: 1000 },
    strike: async ({ postgres, long }, writers) => {
      const { change, key } = writers.noteOther('soak_a');
      const session = await postgres.connect();
      await session.query('begin');
      await session.query('insert into soak_a values ($1)', [key]);
      await delay(long ? 120_000 : 4000);
      change.commitSent = performance.now();
      await session.query('commit');
      change.commitAnswered = performance.now();
      change.outcome = 'committed';
      await session.end();
    },
  },
  {
    name: 'the log pruned down to nothing under a client that sleeps',
    prunes: true,
    writers: FEW,
    strike: async (target) => {
      const { postgres, servers } = target;
      const wakeUp = letOneBeIdle(target);
      await delay(1000);
      await postgres.sql('delete from change_feed.tick');
      await postgres.sql('select change_feed.note_tick()');
      await postgres.sql(`select change_feed.prune('0 s', 1000000000, 1000000)`);
      // None remembers what it has missed.
      for (const server of [...servers.running]) {
        await servers.end(server, 'SIGTERM');
        await servers.start();
      }
      wakeUp();
    },
  },
  {
    name: 'rows and ticks stamped in the past and the future, servers whose clocks are two days wrong',
    strike: async ({ postgres, servers }) => {
      await postgres.sql(`alter table change_feed.change
        alter at set default clock_timestamp() + (random() - 0.5) * interval '20 days'`);
      await postgres.sql(`insert into change_feed.tick (at, changes)
        select clock_timestamp() + interval '2 days', coalesce(max(changes), 0) from change_feed.tick`);
      for (const wrongBy of [2 * DAYS, -2 * DAYS]) {
        const [first] = servers.running;
        if (first) await servers.end(first, 'SIGTERM');
        await servers.start({ NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(clock(wrongBy))}` });
      }
      await postgres.sql('select change_feed.note_tick()');
      // What is a day old, by when it was committed: nothing of this is. The log is asked afterwards.
      await postgres.sql(`select change_feed.prune('24 h', 1000000000, 1000000)`);
      await delay(1000);
      for (let i = 0; i < 2; i += 1) {
        const wrong = servers.running.at(-2);
        if (wrong) await servers.end(wrong, 'SIGTERM');
        await servers.start();
      }
      await postgres.sql('alter table change_feed.change alter at set default clock_timestamp()');
    },
  },
];

/** Sends one client away, with its position. @returns what brings it back. */
function letOneBeIdle({ clients }: Target): () => void {
  const sleeper = clients.find(({ name }) => name.startsWith('often away'));
  sleeper?.becomeIdle();
  return () => sleeper?.wakeUp();
}

/** So many transactions that get an id and roll back. */
const endedIds = (count: number) => 'begin; select pg_current_xact_id(); rollback;'.repeat(count);

/** Until changes stand under ids that old positions count as seen, and no position is of the future any more. */
async function untilIdsAreReused({ postgres }: Target): Promise<void> {
  await delay(1000);
  await postgres.sql(endedIds(5000));
}

/** Makes a process' clock wrong. */
const clock = (byMs: number) => `
  const Right = Date;
  globalThis.Date = class extends Right {
    constructor(...parts) { super(...(parts.length ? parts : [Right.now() + ${byMs}])); }
    static now() { return Right.now() + ${byMs}; }
  };`;
