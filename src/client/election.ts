import { later } from './timing.js';

/** Between two announcements of a leader without locks, in ms, and the silence after which another takes its place. */
const ANNOUNCE_MS = 2000;
const LEASE_MS = 5000;
/** A tab without locks leads if nobody has answered by then, in ms. */
const FIRST_ANSWER_MS = 300;
/** Two tabs do not begin in the same moment, in ms. */
const JITTER_MS = 500;

/** What becomes of a tab. */
export interface ElectionHandlers {
  onLead(): void;
  /** Another tab has taken its place. */
  onDeposed(): void;
  /** Says to the others that there is a leader. */
  announce(): void;
}

/** Decides which tab has the stream. */
export interface Election {
  /** The leader has been heard. */
  heard(): void;
  /** The leader has said farewell. */
  gone(): void;
  /** The leader does not answer. */
  takeOver(): void;
  /** Leads no more, and does not want to. */
  leave(): void;
}

/** By a Web Lock: the browser gives it to the next tab when a tab is closed or crashes. */
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

/** By a lease, where there are no locks: on plain HTTP to another host. */
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

  /** Another tab leads, too, and its term is the one that stays. */
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
