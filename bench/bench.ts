import type { BenchPostgres } from './database.js';

/** One benchmark: prints what it found. */
export interface Bench {
  /** How the command line calls it. */
  readonly name: string;
  readonly about: string;
  run(context: BenchContext): Promise<void>;
}

/** What a benchmark gets. */
export interface BenchContext {
  readonly postgres: BenchPostgres;
  /** The first number in a whole run, the second in a quick one, which shows that a bench works and no more. */
  scale(whole: number, quick: number): number;
}
