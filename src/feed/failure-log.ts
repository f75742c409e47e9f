import { types } from 'node:util';
import { codeOf } from '../database/failure.js';
import type { Logger } from '../logger.js';

/** The same cause is logged again after this, in ms. */
const REMINDER_MS = 60_000;
/** Lines within {@link REMINDER_MS}, for failures whose cause changes all the time. */
const MAX_LINES = 4;

/** Receives the failures of work that is tried again for ever. */
export interface Failures {
  /**
   * One attempt failed.
   * @param work names what failed, as a sentence: `the log could not be read`.
   */
  failed(work: string, error?: unknown): void;
  /** The same work succeeded. */
  succeeded(work: string): void;
}

/**
 * Logs what fails again and again without flooding the log: each cause once, a reminder with the count once a minute,
 * and one line when all that failed works again. At most four failures a minute are logged, however many there are.
 */
export class FailureLog implements Failures {
  readonly #logger: Logger;
  readonly #now: () => number;
  /** The work that fails now. */
  readonly #failing = new Set<string>();
  /** The time at which each cause was last logged. */
  readonly #loggedAt = new Map<string, number>();
  /** The times of the last lines. */
  #lines: number[] = [];
  /** Failures since the last line. */
  #failures = 0;
  #begunAt = 0;
  #announced = false;

  /** @param now a clock in ms that never goes back. */
  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  failed(work: string, error?: unknown): void {
    if (this.#failing.size === 0) {
      this.#begunAt = this.#now();
      this.#announced = false;
    }
    this.#failing.add(work);
    // A loss without a cause says nothing new beside a failure with one.
    if (error === undefined && this.#announced) this.#failures += 1;
    else this.#announced = this.#log(error, work, causeOf(error, work)) || this.#announced;
  }

  succeeded(work: string): void {
    if (!this.#failing.delete(work) || this.#failing.size > 0) return;
    // The next failure is a new one, and is logged at once.
    this.#loggedAt.clear();
    if (!this.#announced) return;
    const seconds = Math.round((this.#now() - this.#begunAt) / 100) / 10;
    this.#logger.info({ seconds, failures: this.#failures }, 'the database can be used again');
    this.#failures = 0;
  }

  /**
   * Logs a failure that nothing takes back: of one request, of a connection that was idle. The same text with the same
   * cause once a minute.
   * @param fields of the line, beside the error.
   */
  happened(text: string, error: unknown, fields: object = {}): void {
    this.#log(error, text, `${text}: ${causeOf(error, text)}`, fields);
  }

  /** @returns whether it was logged. */
  #log(err: unknown, text: string, cause: string, fields: object = {}): boolean {
    this.#failures += 1;
    const now = this.#now();
    const loggedAt = this.#loggedAt.get(cause);
    if (loggedAt !== undefined && now - loggedAt < REMINDER_MS) return false;
    this.#lines = this.#lines.filter((at) => now - at < REMINDER_MS);
    if (this.#lines.length >= MAX_LINES) return false;
    this.#lines.push(now);
    this.#loggedAt.delete(cause);
    this.#loggedAt.set(cause, now);
    // Causes may carry any text: as many are kept as can have been logged within a reminder's time.
    for (const oldest of this.#loggedAt.keys()) {
      if (this.#loggedAt.size <= MAX_LINES) break;
      this.#loggedAt.delete(oldest);
    }
    const failing = this.#failing.size > 0 && { failing: [...this.#failing] };
    this.#logger.error({ err, ...fields, failures: this.#failures, ...failing }, text);
    this.#failures = 0;
    return true;
  }
}

/** Tells causes apart: by their code, and by their text without the numbers in it. */
function causeOf(error: unknown, otherwise: string): string {
  if (!types.isNativeError(error)) return error === undefined ? otherwise : String(error);
  const code = codeOf(error) ?? '';
  // Node names an address in the text, and Postgres a role or an object; a connection's number says nothing.
  return /^E[A-Z]+$/.test(code) ? code : `${code} ${error.message.replace(/\d+/g, '')}`;
}
