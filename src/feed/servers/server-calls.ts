import { randomUUID } from 'node:crypto';
import type { Logger } from '../../logger.js';
import { FailureLog } from '../failure-log.js';
import { KnownServers } from './known-servers.js';
import { OneAtATime } from './one-at-a-time.js';

/** The time that a server waits for the answer of another, in ms. */
const ANSWER_MS = 2000;
/** Calls that may be waiting at once; more are refused, so that they cost no memory while another server hangs. */
const MAX_WAITING = 1000;
/** Those of one subject among them. */
const MAX_WAITING_OF_SUBJECT = 50;
const RUNNING = "select name from change_feed.status where what = 'server'";

/** A notification with a server's id says that a call waits for it, one with a call's id that there is an answer. */
const SERVER_ID = /^[0-9a-f]{8}$/;
const CALL_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The other server did not answer within two seconds, or could not. */
export class NoAnswerError extends Error {
  override readonly name = 'NoAnswerError';
}

/** No server of this id runs. */
export class UnknownServerError extends Error {
  override readonly name = 'UnknownServerError';
}

/** The subject has as many calls waiting as it may. */
export class TooManyCallsError extends Error {
  override readonly name = 'TooManyCallsError';
}

/** Answers what another server asks: with a text that every encoding has, so in ASCII. */
export type CallHandler = (request: unknown) => Promise<string>;

/** The matter of a call: a stream's subscriptions, or a question of a monitor. */
export type CallKind = 'subscription' | 'monitor';

/** The answer of a server that has nothing to say to a kind of call. */
export const UNKNOWN_CALL = 'unknown_call';

/** The time between two looks for calls and answers while no notification is received, in ms. */
const LOOK_MS = 200;

/** Options of the calls between servers. */
export interface ServerCallsOptions {
  /** The id of this server, 8 hexadecimal digits: the notification of a call for it carries it. */
  readonly instanceId: string;
  readonly query: (text: string, values: unknown[]) => Promise<readonly Record<string, unknown>[]>;
  /** Tells whether notifications are received, and whether the database can be used. */
  readonly health: () => { readonly listener: boolean; readonly database: boolean };
  readonly logger: Logger;
}

/**
 * Passes requests on to another server through Postgres: request and answer are rows of `change_feed.call`, which only
 * servers may read and write, and NOTIFY says that they are there. See sql/007-call.sql.
 */
export class ServerCalls {
  readonly #options: ServerCallsOptions;
  readonly #failures: FailureLog;
  readonly #waiting = new Map<string, (answer: string) => void>();
  readonly #ofSubject = new Map<string, number>();
  readonly #known: KnownServers;
  readonly #handlers = new Map<CallKind, CallHandler>();
  #timer: NodeJS.Timeout | undefined;
  readonly #calls = new OneAtATime(() => this.#takeCalls());
  readonly #answers = new OneAtATime(() => this.#takeAnswers());

  constructor(options: ServerCallsOptions) {
    this.#options = options;
    this.#failures = new FailureLog(options.logger);
    this.#known = new KnownServers(async () => (await options.query(RUNNING, [])).map(({ name }) => String(name)));
  }

  /** Begins to look for calls while no notification is received. */
  start(): void {
    this.#timer = setInterval(() => {
      const { listener, database } = this.#options.health();
      if (!listener && database) this.catchUp();
    }, LOOK_MS);
  }

  /** Looks no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  /** Lets `handler` answer what other servers ask this one. */
  answerWith(kind: CallKind, handler: CallHandler): void {
    this.#handlers.set(kind, handler);
  }

  /**
   * Asks another server.
   * @param server its instance id.
   * @param request goes as JSON.
   * @param subject who asks: at most 50 calls of one wait at once.
   * @throws {UnknownServerError} {@link TooManyCallsError} {@link NoAnswerError}
   */
  async call(server: string, request: unknown, subject: string): Promise<string> {
    const own = this.#ofSubject.get(subject) ?? 0;
    if (own >= MAX_WAITING_OF_SUBJECT) throw new TooManyCallsError('Too many calls of this subject are waiting');
    this.#ofSubject.set(subject, own + 1);
    try {
      const runs = await this.#known.has(server).catch((error: unknown) => {
        throw new NoAnswerError('The servers that run could not be listed', { cause: error });
      });
      if (!runs) throw new UnknownServerError(`There is no server ${server}`);
      return await this.#call(server, request);
    } finally {
      const left = (this.#ofSubject.get(subject) ?? 1) - 1;
      if (left > 0) this.#ofSubject.set(subject, left);
      else this.#ofSubject.delete(subject);
    }
  }

  async #call(server: string, request: unknown): Promise<string> {
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

  /** Takes the payload of a notification. @returns whether it was about calls, and so not about changes. */
  heard(payload: string): boolean {
    if (SERVER_ID.test(payload)) {
      if (payload === this.#options.instanceId) void this.takeCalls();
      return true;
    }
    if (!CALL_ID.test(payload)) return false;
    // It proves nothing, because anybody can notify: the answer is a row that only servers may write.
    if (this.#waiting.has(payload)) this.#answers.run();
    return true;
  }

  /** Takes what has come while no notification was received: requests for this server, and answers. */
  catchUp(): void {
    void this.takeCalls();
    if (this.#waiting.size > 0) this.#answers.run();
  }

  /** Answers what was asked of this server. Resolves when all of it has been taken. */
  takeCalls(): Promise<void> {
    return this.#calls.run();
  }

  async #takeAnswers(): Promise<void> {
    try {
      const answers = await this.#options.query('select id, answer from change_feed.take_answers($1)', [
        [...this.#waiting.keys()],
      ]);
      for (const { id, answer } of answers) this.#waiting.get(String(id))?.(String(answer));
    } catch (error) {
      this.#failed('the answers of other servers could not be taken', error);
    }
  }

  async #takeCalls(): Promise<void> {
    const { instanceId, query } = this.#options;
    const answer = async (id: unknown, request: unknown) => {
      const kind: CallKind = (request as { kind?: unknown } | null)?.kind === 'monitor' ? 'monitor' : 'subscription';
      const text = (await this.#handlers.get(kind)?.(request)) ?? UNKNOWN_CALL;
      await query('select change_feed.answer_call($1, $2)', [id, text]);
    };
    try {
      const calls = await query('select id, request from change_feed.take_calls($1)', [instanceId]);
      for (const { id, request } of calls) {
        answer(id, request).catch((error: unknown) => this.#failures.happened('a call was not answered', error));
      }
    } catch (error) {
      this.#failed('the calls of other servers could not be taken', error);
    }
  }

  #failed(what: string, error: unknown): void {
    // A look without a notification: that the connection is lost is logged already.
    if (this.#options.health().listener) this.#failures.happened(what, error);
    else this.#options.logger.debug({ err: error }, what);
  }
}
