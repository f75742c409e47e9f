import { setTimeout as delay } from 'node:timers/promises';
import { describe, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { ChangeFeed } from '../../../src/feed/change-feed.js';
import { createTestDatabase } from '../../test-database.js';
import { until } from '../../until.js';
import { type HeldSession, StatementGate, type Step } from '../statement-gate.js';

const LEAD = 'pg-change-feed leader';
const LOG = 'pg-change-feed log';
const READ = /from change_feed\.change/;
const SAY = /begin_idle/;

/** Everything that a lead does, and where each can be met. */
const STEPS: readonly (readonly [string, readonly Omit<Step, 'place'>[]])[] = [
  ['it beats', [{ application: LEAD, statement: /change_feed\.beat/ }]],
  ['it wakes up', [{ application: LEAD, statement: /end_idle/ }]],
  ['it reads', [{ application: LOG, statement: READ }]],
  ['it tells the others', [{ application: LEAD, statement: /pg_notify/ }]],
  ['it says that it sleeps', [{ application: LEAD, statement: SAY }]],
  [
    'it reads before it sleeps',
    [
      { application: LEAD, statement: SAY },
      { application: LOG, statement: READ },
    ],
  ],
  ['it looks who is still open', [{ application: LEAD, statement: /stay_idle/ }]],
];
const PLACES = ['before', 'after'] as const;

/** Two servers, periodic reads off: one leads, and its sessions can be stopped. */
class Case implements AsyncDisposable {
  readonly heard = { lead: new Set<unknown>(), other: new Set<unknown>() };
  #closing: (() => Promise<unknown>)[] = [];
  #lastKey = 100;

  private constructor(
    readonly psql: pg.Client,
    /** Has a transaction open, now and then. */
    readonly writer: pg.Client,
    readonly gate: StatementGate,
  ) {}

  static async begin(step?: Step): Promise<Case> {
    const database = await createTestDatabase();
    const gate = await StatementGate.open(database.url);
    const [psql, writer] = [database.url, database.url].map((url) => new pg.Client({ connectionString: url }));
    if (!psql || !writer) throw new TypeError('Expected two sessions');
    await Promise.all([psql.connect(), writer.connect()]);
    await psql.query(`create table zaehler (id int primary key); select change_feed.watch('zaehler')`);
    const made = new Case(psql, writer, gate);
    made.#closing = [() => psql.end(), () => writer.end(), () => gate.close(), () => database.drop()];
    const held = step && gate.hold(step);
    await made.#start('lead', gate.url);
    if (held) made.held = await held;
    else await until(() => made.#idle(), 'the lead to sleep');
    await made.#start('other', database.url);
    return made;
  }

  /** Where it was stopped while it began. */
  held: HeldSession | undefined;

  /** Runs the lead into a step, by writes. */
  async runInto(steps: readonly Omit<Step, 'place'>[], place: Step['place']): Promise<HeldSession> {
    const [first, second] = steps as [Step, Step?];
    const held = this.gate.hold({ ...first, place: second ? 'after' : place });
    let session: HeldSession | undefined;
    while (!session) {
      await this.#burst();
      session = await Promise.race([held, delay(1000, undefined)]);
    }
    if (!second) return session;
    const next = this.gate.hold({ ...second, place });
    session.release();
    return next;
  }

  /** Writes so fast that an idle lead wakes up, and leaves a transaction open that has found it awake. */
  async #burst(): Promise<void> {
    await this.writer.query('commit');
    for (let i = 0; i < 30; i += 1) {
      this.#lastKey += 1;
      await this.insert(this.#lastKey);
    }
    this.#lastKey += 1;
    await this.writer.query(`begin; insert into zaehler values (${this.#lastKey})`);
    await this.insert(-this.#lastKey);
  }

  insert = (key: number) => this.psql.query('insert into zaehler values ($1)', [key]);

  untilHeard = (key: number) =>
    until(() => this.heard.lead.has(key) && this.heard.other.has(key), `change ${key} at both`);

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing) await close();
  }

  async #start(who: 'lead' | 'other', url: string): Promise<void> {
    const feed = new ChangeFeed({
      listenDatabaseUrl: url,
      notify: (channel, payload) => this.psql.query('select pg_notify($1, $2)', [channel, payload]),
      readIntervalMs: 0,
      logger: pino({ level: 'silent' }),
    });
    await feed.start();
    feed.listen({
      onChanges: (changes) => {
        for (const { keys } of changes) for (const key of keys ?? []) this.heard[who].add(key);
      },
      onLost: () => {},
    });
    // The gate is closed first: a session that is held would keep the feed from stopping.
    this.#closing.splice(-1, 0, () => feed.stop());
  }

  async #idle(): Promise<boolean> {
    return (await this.psql.query('select is_called from change_feed.leader_idle')).rows[0].is_called;
  }
}

describe.each(STEPS)('where a lead is stopped while %s', (_name, steps) => {
  test.concurrent.each(PLACES)('(%s), and goes on, no wake-up is lost', async (place) => {
    await using at = await Case.begin();
    const session = await at.runInto(steps, place);
    await at.insert(2);
    session.release();
    await at.untilHeard(2); // nobody writes any more, and nobody reads by the clock
  });

  test.concurrent.each(PLACES)('(%s), and is killed, another takes over, and nothing is lost', async (place) => {
    await using at = await Case.begin();
    const session = await at.runInto(steps, place);
    await at.insert(2);
    session.kill();
    await at.untilHeard(2);
    await at.insert(3);
    await at.untilHeard(3);
  });

  test.concurrent.each(PLACES)('(%s), and hangs for good, another takes over, and nothing is lost', async (place) => {
    await using at = await Case.begin();
    await at.runInto(steps, place);
    await at.insert(2);
    await at.untilHeard(2);
    await at.insert(3);
    await at.untilHeard(3);
  });
});

describe('where a server is stopped while it asks for the lead', () => {
  const ask = { application: LEAD, statement: /change_feed\.beat/ };

  test.concurrent.each(PLACES)('(%s), and goes on, no wake-up is lost', async (place) => {
    await using at = await Case.begin({ ...ask, place });
    await at.insert(1);
    at.held?.release();
    await at.untilHeard(1);
  });

  test.concurrent.each(PLACES)('(%s), and hangs for good, another takes over', async (place) => {
    await using at = await Case.begin({ ...ask, place });
    await at.insert(1);
    await at.untilHeard(1);
  });
});
