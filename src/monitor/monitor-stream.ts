import type { Writable } from 'node:stream';
import { MAX_BUFFERED } from '../streams/limits.js';
import { endStreamSocket, resetStreamSocket } from '../streams/stream-socket.js';

/** The time for which a page may leave its stream unread, in ms. */
const STALL_MS = 30_000;

/**
 * The stream of a page of the monitor. It holds at most 64 kB that are unread, and one event more: what does not fit is
 * left out, so that a page that does not read costs nobody anything.
 */
export class MonitorStream {
  readonly #socket: Writable;
  /** Changes that were left out, and of which the page does not know yet. */
  skipped = 0;
  #fullSince: number | undefined;

  constructor(socket: Writable) {
    this.#socket = socket;
    socket.on('error', () => {}); // `close` follows
  }

  /** Sends an event. @returns false where the page has not read those before, so that this one is left out. */
  send(name: string, body: unknown): boolean {
    return this.sendText(eventText(name, body));
  }

  /** Sends an event that was encoded for all pages. */
  sendText(text: string): boolean {
    if (this.#socket.destroyed || this.#socket.writableEnded) return false;
    if (this.#socket.writableLength >= MAX_BUFFERED) {
      this.#fullSince ??= performance.now();
      if (performance.now() - this.#fullSince > STALL_MS) resetStreamSocket(this.#socket);
      return false;
    }
    this.#fullSince = undefined;
    this.#socket.write(text);
    return true;
  }

  /** Ends it with its token. */
  expire(): void {
    this.end('expired');
  }

  /** Ends it after a last event. */
  end(name: string): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(eventText(name, {}));
    endStreamSocket(this.#socket);
    // A page that does not read would stay for ever.
    const late = setTimeout(() => resetStreamSocket(this.#socket), STALL_MS);
    this.#socket.once('close', () => clearTimeout(late));
  }
}

/** Encodes an event. */
export function eventText(name: string, body: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`;
}
