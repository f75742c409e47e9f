import { later } from './timing.js';

/** The time between two announcements of a leader without locks, and the silence after which another replaces it, in ms. */
const ANNOUNCE_MS = 2000;
const LEASE_MS = 5000;
/** The time without an answer after which a tab without locks leads, in ms. */
const FIRST_ANSWER_MS = 300;
/** The largest random delay before that, in ms: two tabs must not begin at the same moment. */
const JITTER_MS = 500;

/** The part of a tab that an election decides about. */
export interface ElectionHandlers {
  onLead(): void;
  /** Called when another tab has taken its place. */
  onDeposed(): void;
  /** Announces to the others that there is a leader. */
  announce(): void;
}

/** Decides which tab has the stream. */
export interface Election {
  /** Takes note of a message of the leader. */
  heard(): void;
  /** Takes note that the leader leaves. */
  gone(): void;
  /** Takes note that the leader does not answer. */
  takeOver(): void;
  /** Leaves: it leads no more, and does not compete. */
  leave(): void;
}

/** Elects by a Web Lock: the browser gives it to the next tab when a tab is closed or crashes. */
export class LockElection implements Election {
  readonly #name: string;
  readonly #handlers: ElectionHandlers;
  #waiting = new AbortController();
  #release = () => {};

  constructor(name: string, handlers: ElectionHandlers) {
    this.#name = name;
    this.#handlers = handlers;
    this.#request(false);
  }

  heard(): void {}

  gone(): void {}

  takeOver(): void {
    this.#waiting.abort();
    this.#request(true);
  }

  leave(): void {
    this.#waiting.abort();
    this.#release();
  }

  #request(steal: boolean): void {
    const waiting = new AbortController();
    this.#waiting = waiting;
    let leading = false;
    const lead = () => {
      if (waiting.signal.aborted) return undefined;
      leading = true;
      this.#handlers.onLead();
      return new Promise<void>((resolve) => {
        this.#release = resolve;
      });
    };
    // `steal` takes no signal (https://w3c.github.io/web-locks/, 3.2.1)
    const options = steal ? { steal } : { signal: waiting.signal };
    navigator.locks.request(this.#name, options, lead).catch(() => {
      // Stolen, or given up while it waited
      if (!leading || waiting.signal.aborted) return;
      this.#handlers.onDeposed();
      this.#request(false);
    });
  }
}

/** Elects by a lease, where there are no locks: on plain HTTP to another host. */
export class LeaseElection implements Election {
  readonly #handlers: ElectionHandlers;
  #cancel = () => {};
  #announcing: ReturnType<typeof setInterval> | undefined;

  constructor(handlers: ElectionHandlers) {
    this.#handlers = handlers;
    this.#leadIn(FIRST_ANSWER_MS);
  }

  heard(): void {
    if (this.#announcing === undefined) this.#leadIn(LEASE_MS);
  }

  gone(): void {
    this.#leadIn(0);
  }

  takeOver(): void {
    this.#lead();
  }

  /** Takes note that another tab leads, too, and that its term stays. */
  yield(): void {
    clearInterval(this.#announcing);
    this.#announcing = undefined;
    this.#leadIn(LEASE_MS);
    this.#handlers.onDeposed();
  }

  leave(): void {
    this.#cancel();
    clearInterval(this.#announcing);
  }

  #leadIn(ms: number): void {
    this.#cancel();
    this.#cancel = later(ms + Math.random() * JITTER_MS, () => this.#lead());
  }

  #lead(): void {
    this.#cancel();
    this.#announcing = setInterval(() => this.#handlers.announce(), ANNOUNCE_MS);
    this.#handlers.onLead();
  }
}
