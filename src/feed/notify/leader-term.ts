import pg from 'pg';
import { backoffMs } from '../backoff.js';
import type { Reading } from '../log/reading.js';
import type { LeaderOptions } from './leader-options.js';
import type { LeaderSession } from './leader-session.js';
import { CHANNEL } from './listener.js';
import { MessageSender, type Term } from './message-sender.js';
import { Pause } from './pause.js';

/** The time between two reads of a leader that is awake, in ms. */
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
/** The longest time for which an idle leader waits for anything, in ms. */
const IDLE_MS = 1000;
/** The longest between two reads of a leader that receives no notifications, so that it must not be idle, in ms. */
const DEAF_MS = 250;
/** The longest between two reads of a leader whose reads fail, in ms. */
const BLIND_MS = 1000;
/** The time that a notification may wait for a message that says that it is answered, in ms: under MESSAGE_WITHIN_MS. */
const ANSWER_WITHIN_MS = 100;
/** The time after which the messages get another key, in ms. */
const KEY_MS = 24 * 3600 * 1000;

const NOTIFY_FAILED = 'the other servers could not be notified';

/** The part from the queue of all of Postgres that is unread above which messages are brief, and above which there are none. */
const NOTIFY = `
  select pg_notify($1, case when queue.usage > 0.01 then $3 else $2 end)
  from (select pg_notification_queue_usage() as usage offset 0) queue where queue.usage <= 0.5`;

/** The outcome of a read: it failed, found more than a change for each AWAKE_MS, or not. */
type ReadOutcome = 'failed' | 'busy' | 'calm';

/**
 * A leader's term, which ends with its session. It spares writers NOTIFY, and the other servers reads.
 *
 * A transaction that has called NOTIFY commits under one lock of the whole cluster, so writers notify only while the leader
 * is idle. A writer that has recorded a change looks. The leader is idle: the writer notifies at commit. It is awake: the
 * writer need not notify, because the leader reads once more after it has said that it is idle. Transactions that had looked
 * before and have not ended yet it goes on looking for. At human pace it stays idle, and reads when it is notified.
 *
 * An idle leader renews with each beat what it said, and after 30 s without that writers notify nobody. So no server that is
 * gone makes them queue. Everything here needs a right on the feed: see `change_feed.lead()` in sql/001-log.sql.
 */
export class LeaderTerm {
  readonly #options: LeaderOptions;
  readonly #session: LeaderSession;
  readonly #pause = new Pause();
  #messages: MessageSender | undefined;
  #keyMadeAt = 0;
  #readAt = Number.NEGATIVE_INFINITY;
  #idle = false;
  /** True where writers do not notify although this server is idle. */
  #unheard = false;
  #notified = false;
  #stopped = false;
  #notifications = 0;

  constructor(options: LeaderOptions, session: LeaderSession) {
    this.#options = options;
    this.#session = session;
  }

  /** Tells whether this server is idle until a notification comes. */
  get idle(): boolean {
    return this.#idle;
  }

  /** The number of notifications that it has sent to the other servers. */
  get notifications(): number {
    return this.#notifications;
  }

  /** Leads until it is stopped. Rejects where the session breaks, or does not lead any more. */
  async lead(): Promise<void> {
    // The leader before may have ended while idle.
    await this.#session.query('select change_feed.end_idle()');
    await this.#makeKey();
    let hurried = 0;
    let unwell = 0;
    while (!this.#stopped) {
      const outcome = await this.#read();
      if (outcome === 'failed' || !this.#options.isListening()) {
        unwell += 1;
        await this.#pause.wait(backoffMs(unwell, outcome === 'failed' ? BLIND_MS : DEAF_MS));
        continue;
      }
      unwell = 0;
      // Idle now, it would be notified by every commit until it says that it is awake.
      if (outcome === 'busy') {
        hurried += 1;
        await this.#pause.wait(hurried >= PACED_FROM ? PACED_MS : AWAKE_MS);
        continue;
      }
      hurried = 0;
      await this.#becomeIdle();
    }
  }

  /** Takes a notification of a writer. */
  notified(): void {
    this.#notified = true;
    if (this.#idle) this.#pause.end();
  }

  /** Takes what a beat has found: `leads` or `idle`. */
  async beat(standing: string): Promise<void> {
    // Its last beat was 30 s ago, and a writer has noticed.
    if (standing === 'leads' && this.#idle) {
      this.#unheard = true;
      this.#pause.end();
    }
    if (this.#messages && performance.now() - this.#keyMadeAt > KEY_MS) await this.#makeKey();
  }

  /** Passes what was told here on to the other servers. */
  tell(reading: Reading): void {
    this.#messages?.add(reading);
    void this.#messages?.flush();
  }

  /** Ends {@link LeaderTerm.lead}. */
  stop(): void {
    this.#stopped = true;
    this.#pause.endForGood();
  }

  /** Gives the lead away. */
  async leave(): Promise<void> {
    await this.#session.query('select pg_advisory_unlock_all()');
    await this.#messages?.leave();
  }

  async #becomeIdle(): Promise<void> {
    this.#notified = false;
    this.#unheard = false;
    const open = await this.#ask('select change_feed.begin_idle() as open');
    // Somebody has emptied change_feed.leader, or has restored the schema.
    if (!open) throw new Error('This session does not lead any more');
    // Of the transactions that need not notify all but `open` are visible now. Only a read that begins now sees all of
    // them: one statement that said it and read would have an older snapshot, and lose a notification.
    if ((await this.#read()) !== 'failed') {
      this.#idle = true;
      await this.#stayIdle(open);
      this.#idle = false;
    }
    await this.#session.query('select change_feed.end_idle()');
  }

  /**
   * Reads when a writer notifies, until so many write that they had better not notify, or nothing would be received or read
   * any more.
   * @param open transactions that may commit without a notification.
   */
  async #stayIdle(open: readonly string[]): Promise<void> {
    let lookMs = AWAKE_MS;
    let owes = false;
    for (;;) {
      if (!this.#notified) await this.#pause.wait(open.length > 0 ? lookMs : owes ? ANSWER_WITHIN_MS : IDLE_MS);
      if (this.#stopped || this.#unheard || !this.#options.isListening()) return;
      if (this.#notified) {
        this.#notified = false;
        const sent = this.#messages?.sent;
        if ((await this.#read()) !== 'calm') return;
        // It was read before its notification came: the other servers wait for a message all the same.
        owes = this.#messages?.sent === sent;
        continue;
      }
      if (owes) {
        owes = false;
        this.#messages?.owe();
        void this.#messages?.flush();
      }
      if (open.length === 0) continue;
      const still = await this.#ask('select change_feed.stay_idle($1) as open', [open]);
      if (!still) return;
      lookMs = Math.min(2 * lookMs, LOOK_MS);
      if (still.length < open.length && (await this.#read()) !== 'calm') return;
      open = still;
    }
  }

  async #read(): Promise<ReadOutcome> {
    const found = await this.#options.read();
    const sinceMs = performance.now() - this.#readAt;
    this.#readAt = performance.now();
    if (found === undefined) return 'failed';
    return found > sinceMs / AWAKE_MS ? 'busy' : 'calm';
  }

  /** Asks for the open transactions; undefined where there is no answer to rely on. */
  async #ask(text: string, values?: unknown[]): Promise<readonly string[] | undefined> {
    const [row] = await this.#session.query<{ open: string[] | null }>(text, values);
    return row?.open ?? undefined;
  }

  async #makeKey(): Promise<void> {
    const [term] = await this.#session.query<Term>('select term, key, pid from change_feed.new_message_key()');
    if (!term) throw new Error('This session does not lead any more');
    this.#keyMadeAt = performance.now();
    this.#options.onTerm(term);
    const { position, answers } = this.#options;
    this.#messages = new MessageSender(term, position(), { answers, send: (...texts) => this.#notify(texts) });
    void this.#messages.flush();
  }

  async #notify(texts: readonly [payload: string, brief: string]): Promise<void> {
    const { failures } = this.#options;
    try {
      await this.#session.query(NOTIFY, [CHANNEL, ...texts], 'notify');
      this.#notifications += 1;
      failures.succeeded(NOTIFY_FAILED);
    } catch (error) {
      // Who misses a message reads. Where the session is gone, its next beat says so.
      if (error instanceof pg.DatabaseError) failures.failed(NOTIFY_FAILED, error);
    }
  }
}
