import { formatTopic, type Topic } from '../scope.js';
import { type ChangeListener, Registration, type SentChange } from './registration.js';
import { later } from './timing.js';

/** After `resumed: false` the server names what was missed within this time, in ms. */
const RESYNC_MS = 1000;

/**
 * All listeners of a page, each with its own position: what one of them has missed moves no other.
 */
export class Registrations {
  readonly #all = new Set<Registration>();
  #position: string | undefined;
  /** The position for listeners that name none: of `configure()`. */
  #given: string | undefined;
  #givenUsed = false;
  /** Called with each new position. */
  readonly moved = new Set<() => void>();
  /** Those that have to be told of a resync, unless the server does so first. */
  #unsure = new Set<Registration>();
  #cancelUnsure = () => {};

  /** Up to where every live listener has been told. */
  get position(): string | undefined {
    return this.#position;
  }

  /** All topics that somebody listens to. */
  get topics(): string[] {
    return [...new Set(Array.from(this.#all, ({ topic }) => topic))];
  }

  /** Whether nobody listens. */
  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Where listeners begin that name no position. */
  give(position: string | undefined): void {
    this.#given = position;
    this.#givenUsed = false;
  }

  /**
   * Somebody begins to listen.
   * @param since the listener's own position.
   * @param live whether the topic's changes come already.
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

  /** The oldest registration of this call. */
  find(topic: string, listener: ChangeListener): Registration | undefined {
    return [...this.#all].find((each) => each.is(topic, listener));
  }

  /** Tells whether somebody is told of a topic as it changes. */
  isLive(topic: string): boolean {
    return [...this.#all].some((each) => each.topic === topic && !each.behind);
  }

  /** The stream has ended before they had caught up: they begin again where they were. */
  giveUp(late: readonly Registration[]): void {
    for (const registration of late)
      if (registration.behind?.waiting) registration.behind = { since: registration.behind.since };
  }

  /** Forgets the position: nobody has missed anything. */
  forget(): void {
    this.#position = undefined;
  }

  /** The position for the next stream: where the live ones are, else where most of the others begin. */
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
   * A stream or poll has begun that brings these topics from `from` on.
   * @param resumed false: what was missed since `from` cannot be told.
   * @param anew false: those that catch up already go on.
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

  /** A topic has been added to the stream, from now on. @returns those that have to catch up. */
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

  /** A change has come. */
  change(change: SentChange): void {
    if (change.reason !== 'resync') this.#settle();
    const topic = formatTopic(change);
    for (const registration of [...this.#all]) {
      if (!registration.fits(topic)) continue;
      this.#unsure.delete(registration);
      registration.take(change);
    }
  }

  /** Everything up to this position has come. */
  moveTo(position: string | undefined): void {
    if (position !== this.#position && this.#givenUsed) this.#given = undefined;
    this.#position = position;
    for (const { behind } of this.#all) for (const item of behind?.waiting ?? []) item.id ??= position;
    for (const listener of [...this.moved]) listener();
  }

  /**
   * What one has missed is here. Then follows what came meanwhile.
   * @param told whether what came before an id is among `changes`.
   */
  caughtUp(registration: Registration, changes: readonly SentChange[], told: (id: string) => boolean): void {
    const { behind } = registration;
    registration.behind = undefined;
    for (const change of changes) if (registration.fits(formatTopic(change))) registration.tell(change);
    for (const { change, id } of behind?.waiting ?? []) if (id === undefined || !told(id)) registration.tell(change);
  }

  /** Tells those of whom nobody has said what they missed. */
  #settle(): void {
    this.#cancelUnsure();
    const unsure = this.#unsure;
    this.#unsure = new Set();
    for (const registration of unsure) registration.resync();
  }
}

/** Its live changes wait from now on. */
function waiting(registration: Registration, since: string): Registration {
  registration.behind = { since, waiting: [] };
  return registration;
}
