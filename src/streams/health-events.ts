import type { Client } from './client.js';
import { healthEvent } from './event-format.js';
import type { SSEManager } from './manager.js';

/** The time between two checks that the log can be read, in ms. */
const CHECK_MS = 500;

/**
 * Sends every stream `event: health` when the server cannot read the log, and again when it can. A page without it
 * would show "live" for as long as the database is down.
 */
export class HealthEvents {
  readonly #streams: SSEManager;
  readonly #readable: () => boolean;
  /** Streams that have received that the log cannot be read. */
  #informed = new Set<Client>();
  #unreadableSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param readable returns true where the last read of the log succeeded. */
  constructor(streams: SSEManager, readable: () => boolean) {
    this.#streams = streams;
    this.#readable = readable;
  }

  /** Starts to check, every half second. */
  start(): void {
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
  }

  /** Ends the checks. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    if (this.#readable()) {
      if (this.#informed.size > 0) this.#sendToInformed(healthEvent(true));
      this.#informed = new Set();
      this.#unreadableSince = undefined;
      return;
    }
    this.#unreadableSince ??= performance.now();
    const event = healthEvent(false, performance.now() - this.#unreadableSince);
    for (const client of this.#streams.clients()) {
      if (this.#informed.has(client)) continue;
      this.#informed.add(client);
      client.write(event);
    }
  }

  /** Sends an event to the informed streams that are still open. */
  #sendToInformed(event: string): void {
    for (const client of this.#streams.clients()) if (this.#informed.has(client)) client.write(event);
  }
}
