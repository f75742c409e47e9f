import type { Client } from './client.js';
import { healthEvent } from './event-format.js';
import type { SSEManager } from './manager.js';

/** Between two looks at whether the log can be read, in ms. */
const LOOK_MS = 500;

/**
 * Sends every stream `event: health` when the server cannot read the log, and again when it can. A page without it
 * would show "live" for as long as the database is down.
 */
export class HealthEvents {
  readonly #streams: SSEManager;
  readonly #readable: () => boolean;
  /** Streams that know that the log cannot be read. */
  #told = new Set<Client>();
  #unreadableSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param readable whether the last read of the log succeeded. */
  constructor(streams: SSEManager, readable: () => boolean) {
    this.#streams = streams;
    this.#readable = readable;
  }

  /** Begins to look, every half second. */
  start(): void {
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
  }

  /** Looks no more. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    if (this.#readable()) {
      if (this.#told.size > 0) for (const client of this.#streams.clients()) this.#tell(client, healthEvent(true));
      this.#told = new Set();
      this.#unreadableSince = undefined;
      return;
    }
    this.#unreadableSince ??= performance.now();
    const event = healthEvent(false, performance.now() - this.#unreadableSince);
    for (const client of this.#streams.clients()) {
      if (this.#told.has(client)) continue;
      this.#told.add(client);
      client.write(event);
    }
  }

  #tell(client: Client, event: string): void {
    if (this.#told.has(client)) client.write(event);
  }
}
