import type { Change } from '../change.js';
import { formatTopic, type Topic } from '../scope.js';
import { refetchOf } from './resource.js';
import { later } from './timing.js';

/** The name of every resource that the caller may read. */
const EVERY_RESOURCE = '*';

/** Called with the changes of a resource or scope. */
export type ChangeListener = (change: Change) => void;

/** A change as the server sends it. */
export interface SentChange extends Change {
  /** Over 100 clients received it at once: wait a random part of so many ms before you refetch. */
  readonly spread?: number;
}

/** A live change that waits until the listener has received what it missed before. */
export interface WaitingChange {
  readonly change: SentChange;
  /** The position that followed it. */
  id: string | undefined;
}

/** The changes that a registration has not received. */
export interface Behind {
  /** The position up to which the listener knows everything; undefined: it knows nothing. */
  readonly since: string | undefined;
  /** Set while what was missed is fetched. */
  waiting?: WaitingChange[];
}

/** The number of changes that wait for what was missed; more are summed up to one per topic. */
const MAX_WAITING = 1000;

/** One call of `on()`: a listener, and how far it has received changes. */
export class Registration {
  /** The resource or scope, as text. */
  readonly topic: string;
  /** Undefined: it receives every change as it arrives. */
  behind: Behind | undefined;
  readonly #subject: Topic;
  readonly #listener: ChangeListener;
  /** The changes that wait a random part of `spread`. */
  #spread: { change: Change; readonly cancel: () => void } | undefined;
  #ended = false;

  constructor(subject: Topic, listener: ChangeListener, behind: Behind | undefined) {
    this.topic = formatTopic(subject);
    this.#subject = subject;
    this.behind = behind;
    this.#listener = listener;
  }

  /**
   * Tells whether it listens to what changed. On a stream with a whole resource, perhaps for another tab, its scopes arrive
   * as the whole.
   */
  fits(topic: string): boolean {
    return this.topic === topic || this.topic === EVERY_RESOURCE || this.topic.startsWith(`${topic}?`);
  }

  /** Tells whether it is the registration of this call. */
  is(topic: string, listener: ChangeListener): boolean {
    return this.topic === topic && this.#listener === listener;
  }

  /** Takes a live change, and passes it on now or when it is its turn. */
  take(change: SentChange): void {
    const { behind } = this;
    if (!behind) this.tell(change);
    else if (behind.waiting) {
      behind.waiting.push({ change, id: undefined });
      if (behind.waiting.length > MAX_WAITING) behind.waiting = summedUp(behind.waiting);
    }
  }

  /** Calls the listener, after a random part of `spread`; changes that follow meanwhile are summed up. */
  tell({ spread: ms = 0, ...sent }: SentChange): void {
    // A change of the whole reaches a listener to a scope without keys: they may be of other scopes.
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

  /** Calls the listener with a resync, because it may have missed changes. Then it is live. */
  resync(): void {
    this.behind = undefined;
    this.#call({ ...this.#subject, reason: 'resync' });
  }

  /** Ends it: the listener is not called any more. */
  end(): void {
    this.#ended = true;
    this.#spread?.cancel();
  }

  #call(change: Change): void {
    if (this.#ended) return;
    try {
      this.#listener(change);
    } catch (error) {
      // The other listeners still have to be called.
      console.error(error);
    }
  }
}

function summedUp(waiting: readonly WaitingChange[]): WaitingChange[] {
  const subjects = new Map(waiting.map(({ change }) => [formatTopic(change), refetchOf(change)]));
  return Array.from(subjects.values(), (change) => ({ change, id: undefined }));
}
