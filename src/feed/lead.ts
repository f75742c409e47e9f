import pg from 'pg';
import { sessionTo } from '../database/address.js';
import type { Logger } from '../logger.js';
import { backoffMs, LONGEST_BACKOFF_MS } from './backoff.js';
import { CHANNEL } from './bell.js';
import type { Failures } from './failure-log.js';

/**
 * The advisory locks of the bell, in Postgres' space of two-int keys. Writers try SLEEP in `change_feed.ring()`: keep
 * the two in step.
 */
const LOCK_CLASS = 1_346_847_558; // 'PGCF'
const SLEEP = 1;
const LEAD = 2;

/** Says on the channel that there is no lead any more, so that another server takes over at once. */
const VACANT = 'vacant';

/** How often who does not lead asks for it, and who leads says that it lives, in ms. */
const BEAT_MS = 1000;
/** Between two reads of a lead that is awake, in ms; the second while commits are under way. */
const AWAKE_MS = 5;
const BUSY_MS = 10;
/**
 * The same under writers at full speed: from the third time on that it found more than a change for each AWAKE_MS, or did
 * not get the lock. Each read costs them CPU, and a larger batch is told in fewer words (40 ms cost one writer 0.03 of its
 * throughput more).
 */
const PACED_MS = 60;
const PACED_FROM = 3;
/** The most between two looks of a lead that sleeps whether who may commit without a ring has ended, in ms. */
const LOOK_MS = 100;
/** The longest between two reads of a leader that receives no notifications, so that it must not be idle, in ms. */
const DEAF_MS = 250;
/** The longest between two reads of a leader whose reads fail, in ms: under {@link HANGING_S}. */
const BLIND_MS = 1000;

const SESSION_FAILED = 'the session of the leader failed, opening another';

/** After this, in seconds, Postgres ends the session of a lead that hangs, and its locks are free for another. */
const HANGING_S = 3;

const SESSION = [
  // As the reader's sessions: see change-log.ts
  '-c search_path=pg_catalog,pg_temp -c row_security=off',
  `-c idle_session_timeout=${HANGING_S}s`,
  // Its rings change nothing that a crash could lose, and a commit that waits for the disk holds up all notifiers.
  '-c synchronous_commit=off',
  '-c statement_timeout=3s',
  // A host that is gone says nothing.
  '-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2',
].join(' ');

/** What a lead stands on. */
export interface LeadOptions {
  /** Straight to Postgres: session locks do not work through a pooler in transaction mode. */
  readonly databaseUrl: string;
  /** Its own rings carry this, so that the server which rings can pass them over. */
  readonly instanceId: string;
  /**
   * Reads the log, beginning after the call.
   * @returns how many changes were read since it was called before, by whomever; undefined where it failed.
   */
  readonly read: () => Promise<number | undefined>;
  /** Whether a ring would be heard. */
  readonly canHear: () => boolean;
  readonly failures: Failures;
  readonly logger: Logger;
}

/**
 * Spares writers the bell. A transaction that has called NOTIFY commits under one global lock, so writers ring only
 * when somebody sleeps: of all servers one leads (it holds the lock LEAD), and says in the database when it sleeps.
 * A writer that has recorded a change asks. It sleeps: the writer rings at commit. It does not: the writer need not ring,
 * for the lead is awake, and reads once more after it has said that it sleeps. Whoever asked before that and has not ended
 * yet it goes on looking for. What it read it rings for the other servers.
 *
 * While it sleeps it holds the lock SLEEP, too: a lead that is gone can't say that it does not sleep any more, but its locks
 * go with its session.
 */
export class Lead {
  readonly #options: LeadOptions;
  #client: pg.Client | undefined;
  /** When the session began, by performance.now(). */
  #connectedAt = 0;
  /** Sessions in a row that did not last. */
  #failures = 0;
  #leading = false;
  #led = false;
  #asleep = false;
  #rings = 0;
  #stopped = false;
  #rung = false;
  #untold = false;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LeadOptions) {
    this.#options = options;
  }

  /** Whether this server leads. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Whether this server sleeps, as the lead, until somebody rings. */
  get asleep(): boolean {
    return this.#asleep;
  }

  /** How often it has rung for the other servers. */
  get rings(): number {
    return this.#rings;
  }

  /** Begins to ask for the lead, for ever. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Somebody has rung. @param payload what the ring carried. */
  rung(payload: string): void {
    this.#rung = true;
    if (this.#leading || payload === VACANT) this.#wake?.();
  }

  /** Something was read that the other servers may not have heard of. */
  hasNews(): void {
    this.#untold = true;
  }

  /** Gives the lead away. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake?.();
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#connect();
        while (!this.#stopped) {
          if (await this.#tryLock(LEAD)) await this.#lead();
          else {
            this.#led = false;
            await this.#pause(BEAT_MS);
          }
        }
        await this.#handOver();
      } catch (error) {
        this.#failures += 1;
        if (!this.#stopped) this.#options.failures.failed(SESSION_FAILED, error);
      } finally {
        this.#leading = false;
        this.#asleep = false;
        await this.#disconnect();
      }
      if (!this.#stopped) await this.#pause(backoffMs(this.#failures));
    }
  }

  /** Leads until it is stopped, or its session breaks. */
  async #lead(): Promise<void> {
    const { read, canHear, logger } = this.#options;
    this.#leading = true;
    // Not again for each session of a server that leads and whose sessions break.
    if (!this.#led) logger.info('this server leads: it wakes the others, and lets writers ring only while it sleeps');
    this.#led = true;
    // The lead before may have gone in its sleep, and with something that nobody has been told.
    await this.#query('select change_feed.end_sleep()');
    this.#untold = true;
    let hurried = 0;
    let unwell = 0;
    let readAt = Number.NEGATIVE_INFINITY;
    while (!this.#stopped) {
      const found = await read();
      const sinceMs = performance.now() - readAt;
      readAt = performance.now();
      await this.#tellOthers();
      if (found === undefined || !canHear()) {
        unwell += 1;
        await this.#pause(backoffMs(unwell, found === undefined ? BLIND_MS : DEAF_MS));
        await this.#query('select');
        continue;
      }
      unwell = 0;
      this.#rung = false;
      // Who took the lock now would be rung for by every commit until it is given back.
      const busy = found > sinceMs / AWAKE_MS;
      if (busy || !(await this.#tryLock(SLEEP))) {
        hurried += 1;
        await this.#pause(hurried >= PACED_FROM ? PACED_MS : busy ? AWAKE_MS : BUSY_MS);
        continue;
      }
      hurried = 0;
      const [{ open = [] } = {}] = await this.#query('select change_feed.begin_sleep() as open');
      // Of those who need not ring all but `open` are visible now. Only a read that begins now sees all of it: one
      // statement that said it and read would have an older snapshot, and lose a wake-up.
      if ((await read()) !== undefined) {
        await this.#tellOthers();
        this.#asleep = true;
        await this.#sleep(open);
        this.#asleep = false;
        // Who has rung is being read for, and nothing of the lead's gets in the way of that. Who writes meanwhile rings,
        // too, and cuts this short.
        if (!this.#stopped) await this.#pause(AWAKE_MS);
      }
      await this.#query(`select change_feed.end_sleep(), pg_advisory_unlock(${LOCK_CLASS}, ${SLEEP})`);
    }
  }

  /**
   * Until somebody rings, or nothing would be heard or read any more.
   * @param open transactions that may commit without a ring.
   */
  async #sleep(open: readonly string[]): Promise<void> {
    let lookMs = AWAKE_MS;
    while (!this.#rung && !this.#stopped && this.#options.canHear()) {
      await this.#pause(open.length > 0 ? lookMs : BEAT_MS);
      if (this.#rung) return;
      // Says that it lives, too, and hears at once when its session, and so the lock, is gone.
      const [{ open: still = [] } = {}] = await this.#query(
        'select array(select virtualtransaction from change_feed.asked where virtualtransaction = any ($1)) as open',
        [open],
      );
      lookMs = Math.min(2 * lookMs, LOOK_MS);
      if (still.length < open.length) {
        if ((await this.#options.read()) === undefined) return;
        await this.#tellOthers();
      }
      open = still;
    }
  }

  async #tellOthers(): Promise<void> {
    if (!this.#untold) return;
    this.#untold = false;
    await this.#query('select pg_notify($1, $2)', [CHANNEL, this.#options.instanceId]);
    this.#rings += 1;
  }

  async #handOver(): Promise<void> {
    if (!this.#leading) return;
    await this.#query('select pg_advisory_unlock_all()');
    await this.#query('select pg_notify($1, $2)', [CHANNEL, VACANT]);
  }

  /** Tried, never waited for: a session that waits for a lock keeps VACUUM from cleaning up, everywhere. */
  async #tryLock(lock: number): Promise<boolean> {
    const rows = await this.#query(`select pg_try_advisory_lock(${LOCK_CLASS}, ${lock}) as got`);
    return rows[0]?.got === true;
  }

  async #query(text: string, values?: unknown[]): Promise<{ got?: boolean; open?: string[] }[]> {
    if (!this.#client) throw new Error('The session is gone');
    const { rows } = await this.#client.query(text, values);
    // One that answers its first statements may refuse the next: only one that lasts is well.
    if (performance.now() - this.#connectedAt > LONGEST_BACKOFF_MS) {
      this.#failures = 0;
      this.#options.failures.succeeded(SESSION_FAILED);
    }
    return rows;
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      ...sessionTo(this.#options.databaseUrl, { name: 'pg-change-feed lead', options: SESSION }),
      connectionTimeoutMillis: 5000,
      query_timeout: 4000,
      keepAlive: true,
    });
    const onGone = () => {
      // A client that never connected must not end the pause before the next attempt.
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#wake?.();
    };
    client.on('error', onGone);
    client.on('end', onGone);
    await client.connect();
    this.#client = client;
    this.#connectedAt = performance.now();
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // Ending a connection whose other side is gone may never be answered.
    if (client)
      await Promise.race([client.end().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 1000).unref())]);
  }

  /** Waits, or until somebody wakes it. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopped) this.#wake();
    });
  }
}
