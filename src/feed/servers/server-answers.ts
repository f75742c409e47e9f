import { atMost } from '../../at-most.js';
import { epochId } from '../log/epochs.js';
import type { LogReader } from '../log/log-reader.js';
import { formatSnapshot, type Position } from '../log/position.js';
import { OneAtATime } from './one-at-a-time.js';
import type { ServerReportOptions } from './server-report.js';

/** The payload of a question's notification: all servers answer how far they have read, and what they have sent. */
const QUESTION = 'reached';
/** The time between two looks for a question of a session that cannot notify before it has its answer, in ms. */
const LOOK_MS = 400;
/** The time until the next look where one has failed, in ms: a database that refuses is not asked at once again. */
const REST_MS = 2000;
/** The time that a read may take before the answer is given without it, in ms. */
const READ_MS = 300;
/** The time after which an answer is emptied, in ms: its asker has read it. */
const KEEP_MS = 10_000;

/** The part of a server's answer that its streams add, in SQL's spelling. */
export type SentState = Readonly<Record<string, unknown>>;

/** The parts of the answers. */
export interface ServerAnswersOptions extends ServerReportOptions {
  /** Tells whether this server looks for questions: it leads, or nobody's notification would reach it. */
  readonly looks: () => boolean;
  /** Returns the reader of the log: it reads first, so that the answer says what is true now. */
  readonly reader: () => Pick<LogReader, 'read' | 'position'> | undefined;
  /** Returns what was sent to streams; absent: nothing is known of it. */
  readonly sent?: (() => SentState) | undefined;
}

/**
 * Answers how far this server has read and what it has sent, when somebody asks: `select * from change_feed.reached()`.
 * A question is a number in a sequence, because a statement cannot notify before it ends. The leader looks at it, and
 * notifies the others; a server that receives no notifications looks by itself. See sql/013-question.sql.
 */
export class ServerAnswers {
  readonly #options: ServerAnswersOptions;
  readonly #looking: OneAtATime;
  #timer: NodeJS.Timeout | undefined;
  #emptying: NodeJS.Timeout | undefined;
  /** No look before this moment, of performance.now(). */
  #restsUntil = 0;
  /** The question of its last answer, until that is emptied. */
  #answered: unknown;
  /** True where a notification has said that there is a question: all others have received it, too. */
  #notified = false;

  constructor(options: ServerAnswersOptions) {
    this.#options = options;
    this.#looking = new OneAtATime(() => this.#look());
  }

  /** Begins to look for questions. */
  start(): void {
    this.#timer = setInterval(() => {
      if (this.#options.looks() && performance.now() >= this.#restsUntil) void this.#looking.run();
    }, LOOK_MS);
  }

  /** Answers no more, and empties its last answer. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#empty();
  }

  /** Takes the payload of a notification. @returns whether it was a question, and so not about changes. */
  heard(payload: string): boolean {
    if (payload !== QUESTION) return false;
    this.#notified = true;
    // It proves nothing, because anybody can notify: the question is in a sequence that only servers may set.
    if (this.#timer) void this.#looking.run();
    return true;
  }

  async #look(): Promise<void> {
    const { instanceId, state, reader, query, logger } = this.#options;
    const notified = this.#notified;
    this.#notified = false;
    try {
      const [row] = await query('select change_feed.open_question($1) as question', [instanceId]);
      if (row?.question == null) return;
      if (state().leading && !notified) await query('select change_feed.pass_on_question()', []);
      const log = reader();
      if (!log) return;
      await atMost(READ_MS, log.read());
      const answer = JSON.stringify(this.#answer(log.position));
      await query('select change_feed.answer_question($1, $2, $3)', [instanceId, row.question, answer]);
      this.#answered = row.question;
      clearTimeout(this.#emptying);
      if (this.#timer) this.#emptying = setTimeout(() => void this.#empty(), KEEP_MS);
    } catch (error) {
      this.#restsUntil = performance.now() + REST_MS;
      logger.debug({ err: error }, 'a question could not be answered');
    }
  }

  /** The column `state` of `change_feed.server_answer`. */
  #answer(position: Position): SentState {
    const { leading, listening, streams, readAgoMs } = this.#options.state();
    return {
      epoch: epochId(position),
      snapshot: formatSnapshot(position),
      read_ago_ms: readAgoMs && Math.round(readAgoMs),
      leads: leading,
      listens: listening,
      streams,
      ...this.#options.sent?.(),
    };
  }

  async #empty(): Promise<void> {
    clearTimeout(this.#emptying);
    if (this.#answered === undefined) return;
    try {
      await this.#options.query('select change_feed.empty_answers($1)', [this.#answered]);
      this.#answered = undefined;
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'answers could not be emptied');
    }
  }
}
