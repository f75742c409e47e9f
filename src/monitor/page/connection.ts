import { EventReader } from '../../client/event-reader.js';
import { now } from '../../client/timing.js';
import { openEvents, RefusedError } from './api.js';

/** The time until the next attempt to connect, in ms. */
const RETRY_MS = 1000;
/** The time without an event after which the connection counts as broken, in ms: a state comes every 500 ms. */
const SILENCE_MS = 1500;
/** The time without an answer or an event after which it is given up, and opened again, in ms. */
const GIVE_UP_MS = 6000;

/** The state of the page's stream. */
export interface ConnectionState {
  readonly status: 'connecting' | 'live' | 'silent' | 'broken' | 'refused';
  /** The time since which it is so, in ms since 1970. */
  readonly since: number;
  /** The sentence of a refusal. */
  readonly refusal?: string;
  /** True where the refusal asks for a token, or another one. */
  readonly isSignIn?: boolean;
}

/** The listeners of a connection. */
export interface ConnectionHandlers {
  onEvent(event: string, data: unknown): void;
  onState(state: ConnectionState): void;
}

/** Keeps the stream of the monitor open, and says honestly whether it is. */
export class Connection {
  readonly #handlers: ConnectionHandlers;
  readonly #watching: number;
  #abort = new AbortController();
  #heardAt = 0;
  #state: ConnectionState = { status: 'connecting', since: now() };
  #closed = false;

  constructor(handlers: ConnectionHandlers) {
    this.#handlers = handlers;
    this.#watching = window.setInterval(() => this.#watch(), 200);
    void this.#run();
  }

  /** Ends it. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#watching);
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#read();
        this.#become('broken');
      } catch (error) {
        if (error instanceof RefusedError && error.status < 500) {
          const { message, isSignIn } = error;
          this.#become('refused', { refusal: message, isSignIn });
          // Too many pages: there may be room later.
          if (isSignIn) return;
        } else this.#become('broken');
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #read(): Promise<void> {
    this.#abort = new AbortController();
    this.#heardAt = performance.now();
    const response = await openEvents(this.#abort.signal);
    this.#heardAt = performance.now();
    const reader = response.body?.getReader();
    const events = new EventReader({
      onEvent: ({ event, data }) => {
        this.#heardAt = performance.now();
        this.#become('live');
        this.#handlers.onEvent(event, JSON.parse(data));
      },
      onId: () => {},
      onRetry: () => {},
    });
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
      if (done || !value) return;
      events.feed(value);
    }
  }

  #watch(): void {
    const silentMs = performance.now() - this.#heardAt;
    const isOpen = this.#state.status === 'live' || this.#state.status === 'silent';
    if (isOpen && silentMs > SILENCE_MS) this.#become('silent');
    // An attempt to connect may hang as well as a stream.
    if (silentMs > GIVE_UP_MS) this.#abort.abort();
  }

  #become(status: ConnectionState['status'], more: Partial<ConnectionState> = {}): void {
    if (this.#closed || (status === this.#state.status && status !== 'refused')) return;
    // A stream that is silent and then breaks was away since it fell silent.
    const wasAway = ['silent', 'broken'].includes(this.#state.status) && ['silent', 'broken'].includes(status);
    this.#state = { status, since: wasAway ? this.#state.since : now(), ...more };
    this.#handlers.onState(this.#state);
  }
}
