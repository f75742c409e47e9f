import type { Writable } from 'node:stream';
import type { EventBatch } from './event-batch.js';
import { MAX_BUFFERED, MAX_WRITES } from './limits.js';
import type { EndReason, StreamCounts } from './stream-counts.js';
import { endStreamSocket, resetStreamSocket } from './stream-socket.js';

/** Settings of all outboxes of a server. */
export interface OutboxOptions {
  /** The time after which a client whose socket stays full is disconnected, in ms. */
  readonly stallMs: number;
  readonly counts: StreamCounts;
}

/** The state of a socket that is not empty, or that ends. */
interface Unread {
  /** Writes that wait in the socket. */
  writes: number;
  /** Present while the socket is full: the topics that changed meanwhile. */
  behind?: Set<string>;
  stalled?: NodeJS.Timeout;
  endedBy?: EndReason;
}

/**
 * The way out of a stream, with back-pressure: once its socket is full, further changes cost the names of their
 * topics and no more. A client that does not read for `stallMs` is disconnected.
 */
export class Outbox {
  readonly #socket: Writable;
  readonly #options: OutboxOptions;
  // Made when it is needed: ten thousand idle clients need none.
  #unread: Unread | undefined;

  constructor(socket: Writable, options: OutboxOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** True once the stream has ended. */
  get closed(): boolean {
    return this.#socket.destroyed || this.#socket.writableEnded;
  }

  /** The reason why this side ended the stream; undefined where the other side did. */
  get endedBy(): EndReason | undefined {
    return this.#unread?.endedBy;
  }

  /** True while the socket is full. */
  get isFull(): boolean {
    return this.#unread?.behind !== undefined;
  }

  /** The number of topics that the client has to refetch once it reads again. */
  get behind(): number {
    return this.#unread?.behind?.size ?? 0;
  }

  /**
   * Sends a batch, or where the socket is full keeps the names of its topics.
   * @returns true where the socket became full: see {@link Outbox.whenEmpty}.
   */
  send(batch: EventBatch, id: string, startId?: string): boolean {
    const { counts } = this.#options;
    if (this.#unread?.behind) {
      for (const topic of batch.topics()) this.#unread.behind.add(topic);
      return false;
    }
    counts.deliveries += batch.delivered;
    counts.summedUp += batch.summaries;
    return this.write(batch.bytes(id, startId));
  }

  /** Writes in any case. @returns true where the socket became full: see {@link Outbox.whenEmpty}. */
  write(bytes: Buffer | string): boolean {
    if (this.closed) return false;
    this.#socket.write(bytes);
    const { writableLength } = this.#socket;
    if (writableLength === 0) {
      if (this.#unread) this.#unread.writes = 0;
      return false;
    }
    this.#unread ??= { writes: 0 };
    this.#unread.writes += 1;
    if (this.#unread.behind || (writableLength < MAX_BUFFERED && this.#unread.writes < MAX_WRITES)) return false;
    this.#unread.behind = new Set();
    resetWhenStalled(this.#socket, this.#unread, this.#options.stallMs);
    return true;
  }

  /** Resolves once all that was written has left, or the stream has ended. */
  whenEmpty(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.write('', () => resolve());
    });
  }

  /** Takes the names of the topics that changed while the socket was full, and lets it take bytes again. */
  takeMissed(): Iterable<string> {
    const { behind = [], stalled } = this.#unread ?? {};
    clearTimeout(stalled);
    this.#unread = undefined;
    return behind;
  }

  /** Ends the stream after a last event. */
  end(reason: EndReason, text: string): void {
    if (this.closed) return;
    this.#unread ??= { writes: 0 };
    this.#unread.endedBy = reason;
    this.#socket.write(text);
    endStreamSocket(this.#socket);
    // The end waits for what the socket still holds, and a client that doesn't read would stay for ever.
    resetWhenStalled(this.#socket, this.#unread, this.#options.stallMs);
  }

  /** Stops the timer: the connection has closed. */
  release(): void {
    clearTimeout(this.#unread?.stalled);
  }
}

/** Resets the connection of a client that has not read for `stallMs`. */
function resetWhenStalled(socket: Writable, unread: Unread, stallMs: number): void {
  unread.stalled ??= setTimeout(() => {
    unread.endedBy = 'the client did not read';
    resetStreamSocket(socket);
  }, stallMs);
}
