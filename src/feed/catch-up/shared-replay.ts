import { resolve } from '../log/epochs.js';
import { earliest, isAtLeast, type Position } from '../log/position.js';
import { lostReading, type Reading } from '../log/reading.js';
import { missedOf, SharedAnswers } from './shared-answers.js';

/** The time that a stretch that was read is kept for others who were away as long, in ms: a crowd comes back within a minute. */
const KEPT_MS = 60_000;

/** Options of a shared replay. */
export interface SharedReplayOptions {
  /** Reads from the log what committed since a position, of some resources or of all. */
  readonly read: (since: Position, resources?: readonly string[]) => Promise<Reading>;
  /** The same from memory, where it reaches back as far. */
  readonly recent: (since: Position, resources?: readonly string[]) => Reading | undefined;
  /** Returns the feed's position. */
  readonly now: () => Position;
}

interface Waiting {
  readonly since: Position;
  readonly resources: readonly string[] | undefined;
  readonly resolve: (reading: Reading) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads for clients that were away for longer than the memory goes back. One read at a time, for all who wait: ten
 * thousand who come back at once, each with a position of its own, are served by a handful of queries. From the earliest
 * of their positions one read has what each of them missed, and their snapshots say what that is.
 */
export class SharedReplay {
  readonly #options: SharedReplayOptions;
  #waiting: Waiting[] = [];
  #reading = false;
  #stretch: { readonly start: Position; readonly reading: Reading; readonly at: number } | undefined;
  /** Answers from the stretch. */
  readonly #answers = new SharedAnswers();
  /** The latest position that was found lost: it stays lost, and all before it. */
  #lostAt: Position | undefined;

  constructor(options: SharedReplayOptions) {
    this.#options = options;
  }

  /** Reads what committed after `since`, up to now. Rejects as the read does. */
  since(since: Position, resources?: readonly string[]): Promise<Reading> {
    const known = this.#known(since, resources);
    if (known) return Promise.resolve(known);
    return new Promise((done, reject) => {
      this.#waiting.push({ since, resources, resolve: done, reject });
      if (!this.#reading) void this.#readAll();
    });
  }

  async #readAll(): Promise<void> {
    this.#reading = true;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      const epochs = new Set(waiting.map(({ since }) => since.epoch));
      for (const epoch of epochs) await this.#readFor(waiting.filter(({ since }) => since.epoch === epoch));
    }
    this.#reading = false;
  }

  async #readFor(all: readonly Waiting[]): Promise<void> {
    const waiting = all.filter(({ since, resources, resolve }) => {
      const known = this.#known(since, resources);
      if (known) resolve(known);
      return !known;
    });
    const [only, ...others] = waiting;
    if (!only) return;
    try {
      if (others.length === 0) {
        const reading = await this.#options.read(only.since, only.resources);
        // A position of the future, which is no reader's, is lost by itself.
        if (reading.lost && isAtLeast(reading.position, only.since)) this.#lostAt = only.since;
        only.resolve(reading);
        return;
      }
      const start = earliest(waiting.map(({ since }) => since));
      const reading = await this.#options.read(start);
      if (reading.lost) return await this.#readInHalves(waiting);
      this.#stretch = { start, reading, at: performance.now() };
      this.#answers.forget();
      for (const { since, resources, resolve } of waiting) {
        resolve(this.#answers.get(since, reading.position, resources, () => partOf(reading, since, resources)));
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  /** The earliest is lost, and of the others nobody knows. The later half goes first: where it is lost, so are all. */
  async #readInHalves(waiting: readonly Waiting[]): Promise<void> {
    const sorted = [...waiting].sort((a, b) => Number(a.since.xmax - b.since.xmax));
    const middle = Math.floor(sorted.length / 2);
    await this.#readFor(sorted.slice(middle));
    await this.#readFor(sorted.slice(0, middle));
  }

  /** Answers without a query, where that is possible. */
  #known(since: Position, resources?: readonly string[]): Reading | undefined {
    const { recent, now } = this.#options;
    if (this.#lostAt && isAtLeast(this.#lostAt, since)) return lostReading(now());
    const stretch = this.#stretch;
    if (!stretch || !isAtLeast(since, stretch.start) || !isAtLeast(stretch.reading.position, since)) return undefined;
    if (performance.now() - stretch.at > KEPT_MS) {
      this.#stretch = undefined;
      this.#answers.forget();
      return undefined;
    }
    return this.#answers.get(since, now(), resources, () => {
      const { position } = stretch.reading;
      const missed = partOf(stretch.reading, since, resources);
      if (isAtLeast(position, now())) return missed;
      const later = recent(position, resources);
      return later && { ...later, changes: [...missed.changes, ...later.changes] };
    });
  }
}

/** Returns what a reader at `since` has not seen; lost for one of the future. What was summed up nobody can tell apart: it stays. */
function partOf(reading: Reading, position: Position, resources: readonly string[] | undefined): Reading {
  // Its epoch may have become known by this reading.
  const since = resolve(position);
  if (!isAtLeast(reading.position, since)) return lostReading(reading.position);
  return { position: reading.position, changes: missedOf(reading.changes, since, resources), lost: false };
}
