import { now } from '../../client/timing.js';
import { BUCKET_MS, BUCKETS, type HistoryAnswer } from '../report.js';

/** Resources with a line of their own; the rest share one. */
const MAX_LINES = 7;
const REST = 'übrige';

/** The values of a line, by the number of their bucket since 1970. */
type Line = Map<number, number>;

/** One line of a plot. */
export interface PlotLine {
  readonly label: string;
  /** One value for each moment of the plot; null: none. */
  readonly values: (number | null)[];
}

/** The lines of a plot, and their moments in seconds since 1970. */
export interface PlotData {
  readonly times: number[];
  readonly lines: readonly PlotLine[];
}

/** The page's picture of the last hour, by its own clock. */
export class HistoryModel {
  readonly #now: () => number;
  readonly #changes = new Map<string, Line>();
  readonly #most = new Map<string, Line>();
  readonly #half: Line = new Map();
  /** The first bucket of which anything is known, and the one behind the last. */
  #knownFrom = Number.POSITIVE_INFINITY;
  #knownTo = 0;

  /** @param clock the time in ms since 1970. */
  constructor(clock = now) {
    this.#now = clock;
  }

  /** Takes the histories of the servers: each has read every change, and the longest memory counts. */
  take({ servers }: HistoryAnswer): void {
    const takenAt = this.#now();
    const longest = [...servers].sort((one, other) => other.history.buckets - one.history.buckets)[0];
    for (const { id, history } of servers) {
      const first = Math.round((takenAt - history.endAgoMs) / BUCKET_MS) - history.buckets;
      const put = (line: Line, values: readonly (number | null)[], factor = 1) => {
        for (const [place, value] of values.entries()) {
          if (value === null) line.delete(first + place);
          else line.set(first + place, value * factor);
        }
      };
      put(lineOf(this.#most, id), history.most);
      if (history !== longest?.history) continue;
      this.#knownFrom = Math.min(this.#knownFrom, first);
      this.#knownTo = Math.max(this.#knownTo, first + history.buckets);
      put(this.#half, history.half);
      for (const [resource, counts] of Object.entries(history.resources))
        put(lineOf(this.#changes, resource), counts, 1000 / BUCKET_MS);
    }
    const oldest = Math.floor(takenAt / BUCKET_MS) - BUCKETS;
    forget(this.#half, oldest);
    for (const lines of [this.#changes, this.#most]) {
      for (const [name, line] of lines) {
        forget(line, oldest);
        if (line.size === 0) lines.delete(name);
      }
    }
  }

  /** The changes a second of each resource: the busiest, and the rest together. */
  changesASecond(): PlotData {
    const times = timesUntil(this.#now());
    const sums = Array.from(this.#changes, ([label, line]) => ({ label, line, sum: sumOf(line) }))
      .filter(({ sum }) => sum > 0)
      .sort((one, other) => other.sum - one.sum || one.label.localeCompare(other.label));
    const lines = sums
      .slice(0, MAX_LINES)
      .map(({ label, line }) => ({ label, values: times.map((time) => line.get(time) ?? this.#unseen(time)) }));
    const rest = sums.slice(MAX_LINES);
    if (rest.length > 0) {
      const sumAt = (time: number) => rest.reduce((sum, { line }) => sum + (line.get(time) ?? 0), 0);
      const values = times.map((time) => (this.#unseen(time) === null ? null : sumAt(time)));
      lines.push({ label: REST, values });
    }
    return { times: times.map(seconds), lines };
  }

  /** Nothing has changed in a bucket without a count, unless nobody counted then. */
  #unseen(bucket: number): 0 | null {
    return bucket < this.#knownFrom || bucket >= this.#knownTo ? null : 0;
  }

  /** The delay from commit to socket in ms: of 99 of 100 changes at each server, and of half of them. */
  delays(): PlotData {
    const times = timesUntil(this.#now());
    const valuesOf = (line: Line) => times.map((time) => line.get(time) ?? null);
    const lines = Array.from(this.#most, ([server, line]) => ({ label: `99 % an ${server}`, values: valuesOf(line) }))
      .filter(({ values }) => values.some((value) => value !== null))
      .slice(0, MAX_LINES);
    return { times: times.map(seconds), lines: [{ label: 'die Hälfte', values: valuesOf(this.#half) }, ...lines] };
  }
}

/** Lists the buckets of the hour that ends at a time. */
function timesUntil(end: number): number[] {
  const last = Math.floor(end / BUCKET_MS) - 1;
  return Array.from({ length: BUCKETS }, (_, place) => last - BUCKETS + 1 + place);
}

function seconds(bucket: number): number {
  return (bucket * BUCKET_MS) / 1000;
}

function sumOf(line: Line): number {
  let sum = 0;
  for (const value of line.values()) sum += value;
  return sum;
}

/** Removes what is older than a bucket. */
function forget(line: Line, oldest: number): void {
  for (const bucket of line.keys()) if (bucket < oldest) line.delete(bucket);
}

function lineOf(lines: Map<string, Line>, name: string): Line {
  const known = lines.get(name) ?? new Map<number, number>();
  lines.set(name, known);
  return known;
}
