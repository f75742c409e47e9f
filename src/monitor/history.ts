import { BUCKET_MS, BUCKETS, type HistoryReport } from './report.js';

/** Resources that are counted by their names: anybody may emit under any. */
const MAX_RESOURCES = 30;
/** The name under which all others are counted, as in the metrics. */
const OTHERS = '(other)';
/** Delays of one bucket that are kept until it ends; of more, a random part. */
const MAX_SAMPLES = 500;

/** The delays of a bucket, as two numbers in ms. */
interface Delay {
  readonly half: number;
  readonly most: number;
}

/** Counts changes and their delays over the last hour, in memory of a fixed size. */
export class History {
  readonly #now: () => number;
  readonly #begunAt: number;
  /** Rings: bucket n is at n % BUCKETS. */
  readonly #resources = new Map<string, Uint32Array>();
  readonly #half = new Float32Array(BUCKETS).fill(Number.NaN);
  readonly #most = new Float32Array(BUCKETS).fill(Number.NaN);
  #current: number;
  #forgotAt = -1;
  #samples: number[] = [];
  #observed = 0;

  /** @param now a clock in ms that is never set. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#begunAt = now();
    this.#current = this.#bucket();
  }

  /** Counts a reading. @param lagsMs the delays of its changes. */
  add(counts: ReadonlyMap<string, number>, lagsMs: readonly number[]): void {
    this.#advance();
    for (const [resource, count] of counts) {
      const ring = this.#ringOf(resource);
      const place = this.#current % BUCKETS;
      ring[place] = (ring[place] ?? 0) + count;
    }
    for (const lag of lagsMs) this.#sample(lag);
  }

  /** The delay of the last minute; undefined where nothing has changed. */
  lastMinute(): Delay | undefined {
    this.#advance();
    const first = Math.max(this.#current - 11, 0);
    const half: number[] = [];
    const most: number[] = [];
    for (let bucket = first; bucket < this.#current; bucket += 1) {
      const value = this.#half[bucket % BUCKETS] ?? Number.NaN;
      if (Number.isNaN(value)) continue;
      half.push(value);
      most.push(this.#most[bucket % BUCKETS] ?? 0);
    }
    const own = delayOf(this.#samples);
    if (own) {
      half.push(own.half);
      most.push(own.most);
    }
    if (half.length === 0) return undefined;
    return { half: half.reduce((sum, each) => sum + each, 0) / half.length, most: Math.max(...most) };
  }

  /** Reports the buckets that have ended. @param last only so many of them. */
  report(last = BUCKETS - 1): HistoryReport {
    this.#advance();
    // The ring's oldest place is where the current bucket is.
    const buckets = Math.min(last, this.#current, BUCKETS - 1);
    const first = this.#current - buckets;
    const of = <Value>(read: (place: number) => Value) =>
      Array.from({ length: buckets }, (_, each) => read((first + each) % BUCKETS));
    return {
      endAgoMs: this.#now() - this.#begunAt - this.#current * BUCKET_MS,
      buckets,
      resources: Object.fromEntries(
        Array.from(this.#resources, ([resource, ring]) => [resource, of((place) => ring[place] ?? 0)] as const).filter(
          ([, counts]) => counts.some((count) => count > 0),
        ),
      ),
      half: of((place) => rounded(this.#half[place])),
      most: of((place) => rounded(this.#most[place])),
    };
  }

  #bucket(): number {
    return Math.floor((this.#now() - this.#begunAt) / BUCKET_MS);
  }

  /** Ends the buckets whose time is over. */
  #advance(): void {
    const bucket = this.#bucket();
    if (bucket === this.#current) return;
    const delay = delayOf(this.#samples);
    this.#half[this.#current % BUCKETS] = delay?.half ?? Number.NaN;
    this.#most[this.#current % BUCKETS] = delay?.most ?? Number.NaN;
    this.#samples = [];
    this.#observed = 0;
    const steps = Math.min(bucket - this.#current, BUCKETS);
    for (let step = 0; step < steps; step += 1) {
      const place = (bucket - step) % BUCKETS;
      this.#half[place] = Number.NaN;
      this.#most[place] = Number.NaN;
      for (const ring of this.#resources.values()) ring[place] = 0;
    }
    this.#current = bucket;
  }

  #ringOf(resource: string): Uint32Array {
    const known = this.#resources.get(resource);
    if (known) return known;
    if (this.#resources.size >= MAX_RESOURCES) this.#forgetQuiet();
    const name = this.#resources.size >= MAX_RESOURCES ? OTHERS : resource;
    const ring = this.#resources.get(name) ?? new Uint32Array(BUCKETS);
    this.#resources.set(name, ring);
    return ring;
  }

  /** Forgets the resources that have not changed for an hour; it looks once in a bucket. */
  #forgetQuiet(): void {
    if (this.#forgotAt === this.#current) return;
    this.#forgotAt = this.#current;
    for (const [resource, ring] of this.#resources)
      if (ring.every((count) => count === 0)) this.#resources.delete(resource);
  }

  #sample(lag: number): void {
    this.#observed += 1;
    if (this.#samples.length < MAX_SAMPLES) this.#samples.push(lag);
    else {
      // Each of those observed has the same chance to be among those kept.
      const place = Math.floor(Math.random() * this.#observed);
      if (place < MAX_SAMPLES) this.#samples[place] = lag;
    }
  }
}

function delayOf(samples: readonly number[]): Delay | undefined {
  if (samples.length === 0) return undefined;
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? 0;
  return { half: at(0.5), most: at(0.99) };
}

function rounded(value = Number.NaN): number | null {
  return Number.isNaN(value) ? null : Math.round(10 * value) / 10;
}
