import { backoffMs } from '../backoff.js';
import type { Failures } from '../failure-log.js';
import type { ChangeLog } from './change-log.js';
import { isSummedUp, type ReadingRow } from './change-rows.js';
import type { Position } from './position.js';
import { type Reading, readingIn, readingOf, readParameters } from './reading.js';
import { MAX_CHANGES } from './statements.js';
import { type Stretch, stepOf } from './stretch.js';

const READ_FAILED = 'the log could not be read';

/** The parts that a log reader works with. */
export interface LogReaderOptions {
  readonly log: Pick<ChangeLog, 'read' | 'tellsScopes'>;
  /** The position at which it begins. */
  readonly start: Position;
  readonly failures: Failures;
  /** Receives everything that was read, or that another server has read, each change once. */
  readonly onReading: (reading: Reading) => void;
  /** Called when a read begins. It returns what is called when that read has succeeded. Default: nothing. */
  readonly onBegin?: () => () => void;
}

/**
 * Follows the log from one position to the next: by reads, one at a time, and tries again for ever where one fails; and by
 * stretches that another server has read. Whatever comes first, and however often, each change is told once, in order.
 */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #waiting = new Set<() => void>();
  #position: Position;
  #current: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  #readAt: number | undefined;
  #stopped = false;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#position = options.start;
  }

  /** The position up to which it has read. */
  get position(): Position {
    return this.#position;
  }

  /** The time since its last read, in ms; null while none succeeds. */
  get readAgoMs(): number | null {
    return this.#readAt === undefined || this.#failures > 0 ? null : performance.now() - this.#readAt;
  }

  /** Tells whether the last read succeeded. */
  get healthy(): boolean {
    return this.#failures === 0;
  }

  /**
   * Reads what is new, with a read that begins after this call: calls during a read lead to one more, not to many.
   * After a failure it reads by itself, after a pause that grows, and calls until then lead to no read.
   * @returns whether it succeeded.
   */
  read(): Promise<boolean> {
    if (this.#retry) return Promise.resolve(false);
    if (!this.#current) {
      this.#current = this.#readOnce().finally(() => {
        this.#current = undefined;
      });
      return this.#current;
    }
    this.#next ??= this.#current.then(() => {
      this.#next = undefined;
      return this.read();
    });
    return this.#next;
  }

  /** Ends the pause after a failure, where something else tells that the database answers. */
  readNow(): Promise<boolean> {
    this.#endPause();
    return this.read();
  }

  /**
   * Reads with a query of somebody else's, beside its own reads.
   * @param ask runs the query with the parameters of a read.
   * @returns whether it found changes. Rejects as `ask` does.
   */
  async readWith(ask: (parameters: unknown[]) => Promise<ReadingRow[]>): Promise<boolean> {
    const from = this.#position;
    const begunAt = performance.now();
    const succeed = this.#options.onBegin?.();
    const rows = await ask(readParameters(from));
    if (this.#stopped) return false;
    const reading = rows.length > MAX_CHANGES ? undefined : readingIn(rows, from, begunAt);
    if (!reading || reading.lost) void this.readNow();
    else this.#succeed(from, reading, succeed);
    return reading?.changes.length !== 0;
  }

  /**
   * Takes a stretch that another server has read, and reads where it does not follow, or tells too little.
   * @param begunAt when that read began, by performance.now().
   * @returns what it did; `brief`: it read, because the stretch has names alone where scopes are told apart.
   */
  take(stretch: Stretch, begunAt: number): 'told' | 'known' | 'missed' | 'brief' {
    const rows = this.#stopped ? 'ignore' : stepOf(this.#position, stretch);
    if (rows === 'ignore') return 'known';
    if (rows === 'read' || (this.#options.log.tellsScopes && rows.some(isSummedUp))) {
      void this.read();
      return rows === 'read' ? 'missed' : 'brief';
    }
    this.#tell(readingOf(stretch.to, rows, begunAt));
    return 'told';
  }

  /** Resolves with the next read that succeeds, or when there will be none. */
  recovered(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve();
      this.#waiting.add(resolve);
      void this.read();
    });
  }

  /** Reads no more. */
  stop(): void {
    this.#stopped = true;
    this.#endPause();
    this.#release();
  }

  async #readOnce(): Promise<boolean> {
    if (this.#stopped) return false;
    const from = this.#position;
    const succeed = this.#options.onBegin?.();
    try {
      const reading = await this.#options.log.read(from);
      if (this.#stopped) return false;
      this.#succeed(from, reading, succeed);
      return true;
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
      return false;
    }
  }

  #succeed(from: Position, reading: Reading, succeed: (() => void) | undefined): void {
    this.#failures = 0;
    this.#options.failures.succeeded(READ_FAILED);
    this.#readAt = performance.now();
    succeed?.();
    if (from === this.#position) this.#tell(reading);
    // Something else was faster. Of what is lost it is not known how much: the next read, from there, will say.
    else if (reading.lost) void this.read();
    else this.take({ from, to: reading.position, rows: reading.rows ?? [] }, reading.measured?.begunAt ?? this.#readAt);
    this.#release();
  }

  #tell(reading: Reading): void {
    this.#position = reading.position;
    this.#options.onReading(reading);
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    this.#options.failures.failed(READ_FAILED, error);
    this.#retry = setTimeout(() => void this.readNow(), backoffMs(this.#failures));
  }

  #endPause(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
  }

  #release(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
