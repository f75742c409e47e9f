import { formatTopic, type Topic } from '../scope.js';
import { type ChangeListener, Registration, type SentChange } from './registration.js';
import { later } from './timing.js';

/** The time in which the server names what was missed after `resumed: false`, in ms. */
const RESYNC_MS = 1000;

/**
 * All listeners of a page, each with its own position: what one of them has missed does not move the others.
 */
export class Registrations {
  readonly #all = new Set<Registration>();
  #position: string | undefined;
  /** The position of listeners without one of their own: that of `configure()`. */
  #given: string | undefined;
  #givenUsed = false;
  /** Called with each new position. */
  readonly moved = new Set<() => void>();
  /** Those that need a resync, unless the server sends one first. */
  #unsure = new Set<Registration>();
  #cancelUnsure = () => {};

  /** The position up to which every live listener has received everything. */
  get position(): string | undefined {
    return this.#position;
  }

  /** All topics that somebody listens to. */
  get topics(): string[] {
    return [...new Set(Array.from(this.#all, ({ topic }) => topic))];
  }

  /** True while nobody listens. */
  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Sets the position at which listeners without one of their own begin. */
  give(position: string | undefined): void {
    this.#given = position;
    this.#givenUsed = false;
  }

  /**
   * Adds a listener.
   * @param since the listener's own position.
   * @param live whether the topic's changes arrive already.
   */
  add(subject: Topic, listener: ChangeListener, since: string | undefined, live: boolean): Registration {
    const from = since ?? this.#given;
    this.#givenUsed = true;
    const current = from === undefined || from === this.#position;
    const behind = live && current ? undefined : { since: from ?? this.#position };
    const registration = new Registration(subject, listener, behind);
    this.#all.add(registration);
    return registration;
  }

  /** Ends what {@link Registrations.add} began. @returns whether it had not ended already. */
  remove(registration: Registration): boolean {
    registration.end();
    this.#unsure.delete(registration);
    return this.#all.delete(registration);
  }

  /** Finds the oldest registration of this call. */
  find(topic: string, listener: ChangeListener): Registration | undefined {
    return [...this.#all].find((each) => each.is(topic, listener));
  }

  /** Tells whether a live listener has this topic. */
  isLive(topic: string): boolean {
    return [...this.#all].some((each) => each.topic === topic && !each.behind);
  }

  /** Takes note that the stream ended before they had caught up: they begin again where they were. */
  giveUp(late: readonly Registration[]): void {
    for (const registration of late)
      if (registration.behind?.waiting) registration.behind = { since: registration.behind.since };
  }

  /** Forgets the position: nobody has missed anything. */
  forget(): void {
    this.#position = undefined;
  }

  /** The position for the next stream: that of the live listeners, or else that at which most of the others begin. */
  start(): string | undefined {
    if (this.#position === undefined) {
      const counts = new Map<string, number>();
      for (const { behind } of this.#all) {
        const since = behind?.since ?? this.#given;
        if (since !== undefined) counts.set(since, (counts.get(since) ?? 0) + 1);
      }
      const [most] = [...counts].sort(([, a], [, b]) => b - a);
      this.#position = most?.[0] ?? this.#given;
    }
    return this.#position;
  }

  /**
   * Takes note that a stream or poll has begun, with these topics from `from` on.
   * @param resumed false: what was missed since `from` cannot be replayed.
   * @param anew false: those that catch up already continue.
   * @returns those that have to catch up from a position of their own.
   */
  begin(topics: readonly string[], from: string | undefined, resumed: boolean, anew = true): Registration[] {
    this.#settle();
    const late: Registration[] = [];
    for (const registration of [...this.#all]) {
      if (!anew && registration.behind?.waiting) continue;
      const since = registration.behind ? (registration.behind.since ?? this.#given) : this.#position;
      registration.behind = { since };
      if (!topics.includes(registration.topic)) continue;
      if (since !== undefined && since === from) {
        registration.behind = undefined;
        if (!resumed) this.#unsure.add(registration);
      } else if (since === undefined) registration.resync();
      else late.push(waiting(registration, since));
    }
    if (this.#unsure.size > 0) this.#cancelUnsure = later(RESYNC_MS, () => this.#settle());
    return late;
  }

  /** Takes note that the stream has one more topic from now on. @returns those that have to catch up. */
  cover(added: string): Registration[] {
    const late: Registration[] = [];
    for (const registration of [...this.#all]) {
      const { behind, topic } = registration;
      if (!behind || behind.waiting || topic !== added) continue;
      if (behind.since === undefined) registration.resync();
      else late.push(waiting(registration, behind.since));
    }
    return late;
  }

  /** Passes on a change. */
  change(change: SentChange): void {
    if (change.reason !== 'resync') this.#settle();
    const topic = formatTopic(change);
    for (const registration of [...this.#all]) {
      if (!registration.fits(topic)) continue;
      this.#unsure.delete(registration);
      registration.take(change);
    }
  }

  /** Takes note that everything up to this position has arrived. */
  moveTo(position: string | undefined): void {
    if (position !== this.#position && this.#givenUsed) this.#given = undefined;
    this.#position = position;
    for (const { behind } of this.#all) for (const item of behind?.waiting ?? []) item.id ??= position;
    for (const listener of [...this.moved]) listener();
  }

  /**
   * Passes to one listener what it has missed, and then what arrived meanwhile.
   * @param told whether what is before an id is among `changes`.
   */
  caughtUp(registration: Registration, changes: readonly SentChange[], told: (id: string) => boolean): void {
    const { behind } = registration;
    registration.behind = undefined;
    for (const change of changes) if (registration.fits(formatTopic(change))) registration.tell(change);
    for (const { change, id } of behind?.waiting ?? []) if (id === undefined || !told(id)) registration.tell(change);
  }

  /** Sends a resync to those for which the server has not named what they missed. */
  #settle(): void {
    this.#cancelUnsure();
    const unsure = this.#unsure;
    this.#unsure = new Set();
    for (const registration of unsure) registration.resync();
  }
}

/** Makes its live changes wait from now on. */
function waiting(registration: Registration, since: string): Registration {
  registration.behind = { since, waiting: [] };
  return registration;
}
