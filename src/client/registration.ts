import type { Change } from '../change.js';
import { formatTopic, type Topic } from '../scope.js';
import { refetchOf } from './resource.js';
import { later } from './timing.js';

/** Every resource that the caller may read. */
const EVERY_RESOURCE = '*';

/** Is called with the changes of a resource or scope. */
export type ChangeListener = (change: Change) => void;

/** A change as the server sends it. */
export interface SentChange extends Change {
  /** Over 100 clients were told at once: wait a random part of so many ms before refetching. */
  readonly spread?: number;
}

/** A live change that waits until what was missed before it has been told. */
export interface WaitingChange {
  readonly change: SentChange;
  /** The position that came after it. */
  id: string | undefined;
}

/** What a registration has not been told. */
export interface Behind {
  /** Everything up to here is known; undefined: nothing is. */
  readonly since: string | undefined;
  /** Set while what was missed is fetched. */
  waiting?: WaitingChange[];
}

/** Changes that wait for what was missed; more are summed up to one per topic. */
const MAX_WAITING = 1000;

/** One call of `on()`: a listener, and how far it has been told. */
export class Registration {
  /** The resource or scope, as text. */
  readonly topic: string;
  /** Undefined: it is told every change as it comes. */
  behind: Behind | undefined;
  readonly #subject: Topic;
  readonly #listener: ChangeListener;
  /** What waits its random part of `spread`. */
  #spread: { change: Change; readonly cancel: () => void } | undefined;
  #ended = false;

  constructor(subject: Topic, listener: ChangeListener, behind: Behind | undefined) {
    this.topic = formatTopic(subject);
    this.#subject = subject;
    this.behind = behind;
    this.#listener = listener;
  }

  /**
   * True where it listens to what changed. On a stream that brings a whole resource, for another tab maybe, its scopes come
   * as the whole.
   */
  fits(topic: string): boolean {
    return this.topic === topic || this.topic === EVERY_RESOURCE || this.topic.startsWith(`${topic}?`);
  }

  /** Whether it is the registration of this call. */
  is(topic: string, listener: ChangeListener): boolean {
    return this.topic === topic && this.#listener === listener;
  }

  /** A live change has come: told now, or when it is its turn. */
  take(change: SentChange): void {
    const { behind } = this;
    if (!behind) this.tell(change);
    else if (behind.waiting) {
      behind.waiting.push({ change, id: undefined });
      if (behind.waiting.length > MAX_WAITING) behind.waiting = summedUp(behind.waiting);
    }
  }

  /** Calls the listener, after a random part of `spread`; what follows meanwhile is summed up. */
  tell({ spread: ms = 0, ...sent }: SentChange): void {
    // Of the whole a listener to a scope learns that something changed: the keys may be those of others.
    const ofWhole = this.#subject.scope && !sent.scope;
    const change: Change = ofWhole ? { ...this.#subject, ...(sent.reason && { reason: sent.reason }) } : sent;
    if (this.#spread) {
      this.#spread.change = refetchOf(change);
    } else if (ms > 0) {
      const cancel = later(Math.random() * ms, () => {
        const told = this.#spread?.change;
        this.#spread = undefined;
        if (told) this.#call(told);
      });
      this.#spread = { change, cancel };
    } else {
      this.#call(change);
    }
  }

  /** Tells the listener that it may have missed changes, and takes it for live. */
  resync(): void {
    this.behind = undefined;
    this.#call({ ...this.#subject, reason: 'resync' });
  }

  /** Nothing more is told. */
  end(): void {
    this.#ended = true;
    this.#spread?.cancel();
  }

  #call(change: Change): void {
    if (this.#ended) return;
    try {
      this.#listener(change);
    } catch (error) {
      // The others still have to be told.
      console.error(error);
    }
  }
}

function summedUp(waiting: readonly WaitingChange[]): WaitingChange[] {
  const subjects = new Map(waiting.map(({ change }) => [formatTopic(change), refetchOf(change)]));
  return Array.from(subjects.values(), (change) => ({ change, id: undefined }));
}
