import type { Logger } from '../logger.js';
import type { ChangeLog, Reading } from './change-log.js';
import type { Position } from './position.js';

/** After a failed read the next follows after this, doubled each time up to the longest, in ms. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;

/** Reads the log from one position to the next, one read at a time, and tries again for ever where it fails. */
export class LogReader {
  readonly #log: ChangeLog;
  readonly #logger: Logger;
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
  constructor(log: ChangeLog, start: Position, logger: Logger, onReading: (reading: Reading) => void) {
    this.#log = log;
    this.#position = start;
    this.#logger = logger;
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
   * @returns whether it succeeded; one that failed is tried again by itself.
   */
  read(): Promise<boolean> {
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
    clearTimeout(this.#retry);
    this.#release();
  }

  async #readOnce(): Promise<boolean> {
    if (this.#stopped) return false;
    clearTimeout(this.#retry);
    try {
      const reading = await this.#log.read(this.#position);
      if (this.#stopped) return false;
      this.#position = reading.position;
      if (this.#failures > 0) this.#logger.info({ failures: this.#failures }, 'the log can be read again');
      this.#failures = 0;
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
    const wait = Math.min(FIRST_RETRY_MS * 2 ** this.#failures, LONGEST_RETRY_MS);
    this.#failures += 1;
    this.#logger.error({ err: error, failures: this.#failures }, 'the log could not be read');
    this.#retry = setTimeout(() => void this.read(), wait);
  }

  #release(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
