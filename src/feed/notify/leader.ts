import pg from 'pg';
import { atMost } from '../../at-most.js';
import { sessionTo } from '../../database/address.js';
import { backoffMs, LONGEST_BACKOFF_MS } from '../backoff.js';
import type { LeaderOptions } from './leader-options.js';
import { CHANNEL, CLOSE_MS, VACANT } from './listener.js';

/** How often a server that does not lead asks for it, and an idle leader says that it is there, in ms. */
const BEAT_MS = 1000;
/** Between two reads of a leader that is awake, in ms. */
const AWAKE_MS = 5;
/**
 * The same under writers at full speed: from the third time on that it found more than a change for each AWAKE_MS.
 * Each read costs them CPU, and a larger batch is told in fewer words (40 ms cost one writer 0.03 of its
 * throughput more).
 */
const PACED_MS = 60;
const PACED_FROM = 3;
/** The longest between two looks of an idle leader at transactions that may commit without a notification, in ms. */
const LOOK_MS = 100;
/** The longest between two reads of a leader that receives no notifications, so that it must not be idle, in ms. */
const DEAF_MS = 250;
/** The longest between two reads of a leader whose reads fail, in ms: under {@link HANGING_S}. */
const BLIND_MS = 1000;

const SESSION_FAILED = 'the session of the leader failed, opening another';

/** After this, in seconds, Postgres ends the session of a leader that hangs, and another server can lead. */
const HANGING_S = 3;

const SESSION = [
  // As the reader's sessions: see change-log.ts
  '-c search_path=pg_catalog,pg_temp -c row_security=off',
  '-c default_transaction_isolation=read\\ committed -c default_transaction_read_only=off',
  `-c idle_session_timeout=${HANGING_S}s`,
  // Its notifications change nothing that a crash could lose, and a commit that waits for the disk holds up all notifiers.
  '-c synchronous_commit=off',
  '-c statement_timeout=3s',
  // A host that is gone says nothing.
  '-c tcp_keepalives_idle=1 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2',
].join(' ');

/**
 * Spares writers NOTIFY. A transaction that has called NOTIFY commits under one lock of the whole cluster, so writers
 * notify only while the leader is idle: of all servers one leads, and says in the database when it is idle.
 * A writer that has recorded a change looks. The leader is idle: the writer notifies at commit. It is awake: the writer
 * need not notify, because the leader reads once more after it has said that it is idle. Transactions that had looked
 * before and have not ended yet it goes on looking for. It notifies the other servers of what it read.
 *
 * An idle leader renews each second what it said, and after 30 s without that writers notify nobody. So no server that is
 * gone makes them queue. Everything here needs a right on the feed: see `change_feed.lead()` in sql/001-log.sql.
 */
export class Leader {
  readonly #options: LeaderOptions;
  #client: pg.Client | undefined;
  /** When the session began, by performance.now(). */
  #connectedAt = 0;
  /** Sessions in a row that did not last. */
  #failures = 0;
  #leading = false;
  #led = false;
  #idle = false;
  #notifications = 0;
  #stopped = false;
  #notified = false;
  #unsent = false;
  #wake: (() => void) | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** Whether this server leads. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Tells whether this server leads and is idle until a notification comes. */
  get idle(): boolean {
    return this.#idle;
  }

  /** The number of notifications that it has sent to the other servers. */
  get notifications(): number {
    return this.#notifications;
  }

  /** Begins to ask for the lead, for ever. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Takes a notification. @param payload its text. */
  notified(payload: string): void {
    this.#notified = true;
    if (this.#leading || payload === VACANT) this.#wake?.();
  }

  /** Something was read that the other servers may not have heard of. */
  hasNews(): void {
    this.#unsent = true;
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
          if (await this.#becomeLeader()) await this.#lead();
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
        this.#idle = false;
        await this.#disconnect();
      }
      if (!this.#stopped) await this.#pause(backoffMs(this.#failures));
    }
  }

  /** Leads until it is stopped, or its session breaks. */
  async #lead(): Promise<void> {
    const { read, isListening, logger } = this.#options;
    this.#leading = true;
    // Not again for each session of a server that leads and whose sessions break.
    if (!this.#led)
      logger.info('this server leads: it notifies the others, and lets writers notify only while it is idle');
    this.#led = true;
    // The leader before may have ended while idle, with a change that it told nobody.
    await this.#query('select change_feed.end_idle()');
    this.#unsent = true;
    let hurried = 0;
    let unwell = 0;
    let readAt = Number.NEGATIVE_INFINITY;
    while (!this.#stopped) {
      const found = await read();
      const sinceMs = performance.now() - readAt;
      readAt = performance.now();
      await this.#tellOthers();
      if (found === undefined || !isListening()) {
        unwell += 1;
        await this.#pause(backoffMs(unwell, found === undefined ? BLIND_MS : DEAF_MS));
        await this.#query('select');
        continue;
      }
      unwell = 0;
      this.#notified = false;
      // Idle now, it would be notified by every commit until it says that it is awake.
      if (found > sinceMs / AWAKE_MS) {
        hurried += 1;
        await this.#pause(hurried >= PACED_FROM ? PACED_MS : AWAKE_MS);
        continue;
      }
      hurried = 0;
      const open = await this.#ask('select change_feed.begin_idle() as open');
      // Somebody has emptied change_feed.leader, or has restored the schema.
      if (!open) throw new Error('This session does not lead any more');
      // Of the transactions that need not notify all but `open` are visible now. Only a read that begins now sees all of
      // them: one statement that said it and read would have an older snapshot, and lose a notification.
      if ((await read()) !== undefined) {
        await this.#tellOthers();
        this.#idle = true;
        await this.#stayIdle(open);
        this.#idle = false;
        // What was notified of is being read now, and nothing of the leader's gets in the way of that. Who writes meanwhile
        // notifies, too, and cuts this short.
        if (!this.#stopped) await this.#pause(AWAKE_MS);
      }
      await this.#query('select change_feed.end_idle()');
    }
  }

  /**
   * Until somebody notifies, or nothing would be received or read any more.
   * @param open transactions that may commit without a notification.
   */
  async #stayIdle(open: readonly string[]): Promise<void> {
    let lookMs = AWAKE_MS;
    while (!this.#notified && !this.#stopped && this.#options.isListening()) {
      await this.#pause(open.length > 0 ? lookMs : BEAT_MS);
      if (this.#notified) return;
      // A session that is gone is noticed here, too.
      const still = await this.#ask('select change_feed.stay_idle($1) as open', [open]);
      if (!still) return;
      lookMs = Math.min(2 * lookMs, LOOK_MS);
      if (still.length < open.length) {
        if ((await this.#options.read()) === undefined) return;
        await this.#tellOthers();
      }
      open = still;
    }
  }

  async #tellOthers(): Promise<void> {
    if (!this.#unsent) return;
    this.#unsent = false;
    await this.#query('select pg_notify($1, $2)', [CHANNEL, this.#options.notificationId]);
    this.#notifications += 1;
  }

  async #handOver(): Promise<void> {
    if (!this.#leading) return;
    await this.#query('select pg_advisory_unlock_all()');
    await this.#query('select pg_notify($1, $2)', [CHANNEL, VACANT]);
  }

  async #becomeLeader(): Promise<boolean> {
    const [row] = await this.#query<{ leads: boolean }>('select change_feed.lead() as leads');
    return row?.leads === true;
  }

  /** Asks for the open transactions; undefined where there is no answer to rely on. */
  async #ask(text: string, values?: unknown[]): Promise<readonly string[] | undefined> {
    const [row] = await this.#query<{ open: string[] | null }>(text, values);
    return row?.open ?? undefined;
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]> {
    if (!this.#client) throw new Error('The session is gone');
    const { rows } = await this.#client.query<Row>(text, values);
    // One that answers its first statements may refuse the next: only one that lasts is well.
    if (performance.now() - this.#connectedAt > LONGEST_BACKOFF_MS) {
      this.#failures = 0;
      this.#options.failures.succeeded(SESSION_FAILED);
    }
    return rows;
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      ...sessionTo(this.#options.databaseUrl, {
        name: 'pg-change-feed leader',
        options: SESSION,
        password: this.#options.password,
      }),
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
    if (client)
      await atMost(
        CLOSE_MS,
        client.end().catch(() => {}),
      );
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
