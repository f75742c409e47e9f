import { randomUUID } from 'node:crypto';
import type { Logger } from '../logger.js';
import { FailureLog } from './failure-log.js';

/** How long a server waits for the answer of another, in ms. */
const ANSWER_MS = 2000;
/** Calls that may be waiting at once; more are refused, so that they cost no memory while another server hangs. */
const MAX_WAITING = 1000;

/** The other server did not answer within two seconds, or could not. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** Answers what another server asks, with a word of letters, digits and underscores. */
export type CallHandler = (request: unknown) => Promise<string>;

/** What calls stand on. */
export interface ServerCallsOptions {
  /** Names this server: calls for it carry this. */
  readonly instanceId: string;
  readonly query: (text: string, values: unknown[]) => Promise<readonly Record<string, unknown>[]>;
  readonly logger: Logger;
}

/**
 * Passes requests on to another server through Postgres: the request lies in `change_feed.call`, where only servers may
 * write, and NOTIFY says that it is there. See sql/007-call.sql.
 */
export class ServerCalls {
  readonly #options: ServerCallsOptions;
  readonly #failures: FailureLog;
  readonly #waiting = new Map<string, (answer: string) => void>();
  #handler: CallHandler | undefined;
  #taking = false;
  #rungMeanwhile = false;

  constructor(options: ServerCallsOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.logger);
  }

  /** Lets `handler` answer what other servers ask this one. */
  answerWith(handler: CallHandler): void {
    this.#handler = handler;
  }

  /**
   * Asks another server.
   * @param server its instance id.
   * @param request goes as JSON.
   * @throws {NoAnswerError}
   */
  async call(server: string, request: unknown): Promise<string> {
    if (this.#waiting.size >= MAX_WAITING) throw new NoAnswerError('Too many calls of other servers are waiting');
    const id = randomUUID();
    let late: NodeJS.Timeout | undefined;
    try {
      return await new Promise<string>((resolve, reject) => {
        this.#waiting.set(id, resolve);
        late = setTimeout(() => reject(new NoAnswerError(`The server ${server} did not answer`)), ANSWER_MS);
        this.#options
          .query('select change_feed.call_server($1, $2, $3)', [id, server, JSON.stringify(request)])
          .catch((error: unknown) => reject(new NoAnswerError('The call could not be made', { cause: error })));
      });
    } finally {
      clearTimeout(late);
      this.#waiting.delete(id);
    }
  }

  /** Takes a payload of the bell. @returns whether it was about calls, and so not about changes. */
  heard(payload: string): boolean {
    // With commas, which no resource has in its name
    const [kind, name, answer = ''] = payload.split(',', 3);
    if (name === undefined) return false;
    if (kind === 'call') {
      if (name === this.#options.instanceId) void this.takeCalls();
      return true;
    }
    if (kind !== 'answer') return false;
    this.#waiting.get(name)?.(answer);
    return true;
  }

  /**
   * Answers what was asked of this server. Call it, too, when LISTEN is back after a loss. Rings during a query lead to
   * one more, not to many: anybody on the database can ring.
   */
  async takeCalls(): Promise<void> {
    this.#rungMeanwhile = true;
    if (this.#taking) return;
    this.#taking = true;
    while (this.#rungMeanwhile) {
      this.#rungMeanwhile = false;
      await this.#takeOnce();
    }
    this.#taking = false;
  }

  async #takeOnce(): Promise<void> {
    const { instanceId, query } = this.#options;
    const answer = async (id: unknown, request: unknown) => {
      const word = await this.#handler?.(request);
      if (word !== undefined) await query('select change_feed.answer_call($1, $2)', [id, word]);
    };
    try {
      const calls = await query('select id, request from change_feed.take_calls($1)', [instanceId]);
      for (const { id, request } of calls) {
        answer(id, request).catch((error: unknown) => this.#failures.happened('a call was not answered', error));
      }
    } catch (error) {
      this.#failures.happened('the calls of other servers could not be taken', error);
    }
  }
}
