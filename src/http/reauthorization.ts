import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import type { Client } from '../streams/client.js';
import type { SSEManager } from '../streams/manager.js';
import type { Caller } from './caller.js';
import { HttpError } from './http-error.js';

/** The number of parts of the interval: the streams of a part are asked at once. */
const PARTS = 100;

/** A stream, and the function that finds its caller anew. */
interface Entry {
  readonly client: Client;
  readonly ask: () => Promise<Caller>;
  asking: boolean;
}

/**
 * Asks for the rights of open streams again, each once in an interval, spread over it. What the answer does not allow any
 * more ends, subscription by subscription; where there is no caller any more, the stream ends.
 */
export class Reauthorization {
  readonly #streams: SSEManager;
  readonly #failures: FailureLog;
  readonly #parts = Array.from({ length: PARTS }, () => new Set<Entry>());
  #next = 0;

  /** @param intervalS the time between two questions for a stream, in seconds. */
  constructor(streams: SSEManager, intervalS: number, logger: Logger) {
    this.#streams = streams;
    this.#failures = new FailureLog(logger);
    const timer = setInterval(() => this.#askPart(), (intervalS * 1000) / PARTS);
    streams.closing.addEventListener('abort', () => clearInterval(timer));
  }

  /**
   * Asks for the rights of a stream from now on.
   * @param ask throws where there is no caller any more.
   * @returns a function that ends it.
   */
  add(client: Client, ask: () => Promise<Caller>): () => void {
    // Many streams open at once after a deployment, and are asked one after the other.
    const part = this.#parts[Math.floor(Math.random() * PARTS)] ?? new Set();
    const entry: Entry = { client, ask, asking: false };
    part.add(entry);
    return () => part.delete(entry);
  }

  #askPart(): void {
    const part = this.#parts[this.#next] ?? new Set();
    this.#next = (this.#next + 1) % PARTS;
    for (const entry of part) if (!entry.asking) void this.#ask(entry);
  }

  async #ask(entry: Entry): Promise<void> {
    const { client, ask } = entry;
    entry.asking = true;
    try {
      const caller = await ask();
      if (caller.subject === client.subject) this.#streams.reauthorize(client, caller);
      else this.#streams.revoke(client);
    } catch (error) {
      // An outage of what knows the rights ends no stream.
      if (error instanceof HttpError && error.status < 500) this.#streams.revoke(client);
      else this.#failures.happened('the rights of a stream could not be asked for again', error, { client: client.id });
    } finally {
      entry.asking = false;
    }
  }
}
