import { backoffMs } from '../backoff.js';
import type { ReadingRow } from '../log/change-rows.js';
import type { Reading } from '../log/reading.js';
import { READ_AND_BEAT } from '../log/statements.js';
import type { LeaderOptions } from './leader-options.js';
import { LeaderSession } from './leader-session.js';
import { LeaderTerm } from './leader-term.js';
import { Pause } from './pause.js';

/** The shortest time between two beats of a server that does not read by the clock, in ms. */
const BEAT_MS = 2000;
/** Up to this part of the time more is random, so that servers do not beat at the same moment. */
const RANDOM = 0.25;

/** The time that an answer may take at first, in ms: with the longest pause between two beats under five seconds. */
const ANSWER_MS = 2000;
/** The longest, in ms: twice as long on each session after one that did not answer. It may have been slow, and not lost. */
const LONGEST_ANSWER_MS = 8000;

/** The number of beats of which one looks thoroughly whether another server leads: that costs a third more. */
const THOROUGH_EVERY = 4;

const SESSION_FAILED = 'the session of the leader failed, opening another';

/**
 * Beats: on one session that is kept, one statement every 2 to 2.5 s reads what is new, asks for the lead, and renews what an
 * idle leader has said. So a server that is told nothing, for whatever reason, is behind for five seconds at the most.
 * Of all servers one leads, as long as its session lasts.
 */
export class Leader {
  readonly #options: LeaderOptions;
  readonly #pause = new Pause();
  /** Sessions in a row that did not last. */
  #failures = 0;
  #answerMs = ANSWER_MS;
  #term: LeaderTerm | undefined;
  #follows = false;
  #led = false;
  #notifications = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** Tells whether this server leads. */
  get leading(): boolean {
    return this.#term !== undefined;
  }

  /** Tells whether another server leads, as far as the last beat could tell. */
  get following(): boolean {
    return this.#follows;
  }

  /** Tells whether this server leads and is idle until a notification comes. */
  get idle(): boolean {
    return this.#term?.idle === true;
  }

  /** The number of notifications that it has sent to the other servers. */
  get notifications(): number {
    return this.#notifications + (this.#term?.notifications ?? 0);
  }

  /** Begins to beat, for ever. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Takes a notification of a writer. */
  notified(): void {
    this.#term?.notified();
  }

  /** Asks for the lead at once: the leader has stopped. */
  beatNow(): void {
    this.#pause.end();
  }

  /** Takes what was told here: a leader tells the other servers. */
  tell(reading: Reading): void {
    this.#term?.tell(reading);
  }

  /** Gives the lead away, and beats no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#pause.endForGood();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { databaseUrl, password, failures, onFailure } = this.#options;
    while (!this.#stopped) {
      let session: LeaderSession | undefined;
      try {
        const onGone = () => this.#pause.end();
        session = await LeaderSession.open({ databaseUrl, password, answerMs: this.#answerMs, onGone });
        await this.#beatOn(session);
      } catch (error) {
        if (this.#stopped) break;
        this.#failures += 1;
        if ((error as Error).message === 'Query read timeout') {
          this.#answerMs = Math.min(2 * this.#answerMs, LONGEST_ANSWER_MS);
        }
        failures.failed(SESSION_FAILED, error);
        onFailure();
      } finally {
        await session?.close();
      }
      if (!this.#stopped) await this.#pause.wait(backoffMs(this.#failures));
    }
  }

  /** Beats until it is stopped. Rejects where the session breaks. */
  async #beatOn(session: LeaderSession): Promise<void> {
    let ended: Promise<void> | undefined;
    try {
      for (let beats = 0; !this.#stopped; beats += 1) {
        const standing = await this.#beat(session, beats % THOROUGH_EVERY === 0);
        this.#follows = standing === 'follows';
        if (session.lasted) this.#succeed();
        if (this.#follows) {
          if (this.#term) throw new Error('This session does not lead any more');
          this.#led = false;
        } else {
          ended ??= this.#begin(session);
          await this.#term?.beat(standing);
        }
        const paused = this.#pause.wait((this.#options.readIntervalMs || BEAT_MS) * (1 + RANDOM * Math.random()));
        await (ended ? Promise.race([paused, ended]) : paused);
      }
      this.#term?.stop();
      await ended;
      await this.#term?.leave();
    } finally {
      this.#end();
    }
  }

  /** @returns `follows`, `leads` or `idle`. */
  async #beat(session: LeaderSession, thorough: boolean): Promise<string> {
    const { readIntervalMs, readWith } = this.#options;
    if (readIntervalMs === 0) {
      const [row] = await session.query<{ beat: string }>('select change_feed.beat($1) as beat', [thorough], 'beat');
      return row?.beat ?? '';
    }
    let standing = '';
    await readWith(async (parameters) => {
      const rows = await session.query<ReadingRow>(READ_AND_BEAT, [...parameters, thorough], 'read and beat');
      standing = rows[0]?.beat ?? '';
      return rows;
    });
    return standing;
  }

  #succeed(): void {
    this.#failures = 0;
    this.#answerMs = ANSWER_MS;
    this.#options.failures.succeeded(SESSION_FAILED);
  }

  /** Begins a term. @returns what rejects where it fails. */
  #begin(session: LeaderSession): Promise<void> {
    // Not again for each session of a server that leads and whose sessions break.
    if (!this.#led)
      this.#options.logger.info(
        'this server leads: it tells the others what it reads, and lets writers notify only while it is idle',
      );
    this.#led = true;
    this.#term = new LeaderTerm(this.#options, session);
    const ended = this.#term.lead();
    // It is waited for between two beats; until then a failure must not end the process.
    ended.catch(() => {});
    return ended;
  }

  #end(): void {
    this.#follows = false;
    this.#term?.stop();
    this.#notifications += this.#term?.notifications ?? 0;
    this.#term = undefined;
  }
}
