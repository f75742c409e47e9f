import { backoffMs } from '../backoff.js';
import type { Failures } from '../failure-log.js';
import type { ChangeLog } from './change-log.js';
import type { Position } from './position.js';
import type { Reading } from './reading.js';

const READ_FAILED = 'the log could not be read';

/** Reads the log from one position to the next, one read at a time, and tries again for ever where it fails. */
export class LogReader {
  readonly #log: ChangeLog;
  readonly #failureLog: Failures;
  readonly #onReading: (reading: Reading) => void;
  readonly #waiting = new Set<() => void>();
  #position: Position;
  #current: Promise<boolean> | undefined;
  #next: Promise<boolean> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #failures = 0;
  #readAt: number | undefined;
  #stopped = false;

  /** @param onReading hears of each read that succeeded, when {@link LogReader.position} stands behind it. */
  constructor(log: ChangeLog, start: Position, failureLog: Failures, onReading: (reading: Reading) => void) {
    this.#log = log;
    this.#position = start;
    this.#failureLog = failureLog;
    this.#onReading = onReading;
  }

  /** How far it has read. */
  get position(): Position {
    return this.#position;
  }

  /** How long ago it read, in ms; null while it can't. */
  get readAgoMs(): number | null {
    return this.#readAt === undefined || this.#failures > 0 ? null : performance.now() - this.#readAt;
  }

  /** Whether the last read succeeded. */
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
    try {
      const reading = await this.#log.read(this.#position);
      if (this.#stopped) return false;
      this.#position = reading.position;
      this.#failures = 0;
      this.#failureLog.succeeded(READ_FAILED);
      this.#readAt = performance.now();
      this.#onReading(reading);
      this.#release();
      return true;
    } catch (error) {
      if (!this.#stopped) this.#fail(error);
      return false;
    }
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    this.#failureLog.failed(READ_FAILED, error);
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
