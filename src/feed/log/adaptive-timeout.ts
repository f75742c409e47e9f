import type pg from 'pg';

/**
 * The time that an answer may take at first, in ms: a half-open connection never says so itself. After the longest pause
 * between two reads, 2.5 s, that leaves half a second of the promised five for the next try.
 */
const FIRST_PATIENCE_MS = 2000;
/** The longest, in ms. */
export const LONGEST_PATIENCE_MS = 35_000;

/** A statement to ask. */
export interface Statement {
  readonly text: string;
  /** Each connection prepares it once under this name, at most 63 bytes. Not through a pooler in transaction mode. */
  readonly name?: string;
}

/**
 * A query that gives up a connection which doesn't answer. Asked anew, it goes out on another, with twice the patience:
 * it may have been slow, and not lost.
 */
export class AdaptiveTimeout<Row extends pg.QueryResultRow> {
  readonly #pool: pg.Pool;
  readonly #statement: Statement;
  readonly #usual: number;
  #patience: number;

  /**
   * @param patienceMs until it has been answered for the first time.
   * @param usualMs from then on, until it is not answered in time.
   */
  constructor(pool: pg.Pool, statement: Statement, patienceMs = FIRST_PATIENCE_MS, usualMs = FIRST_PATIENCE_MS) {
    this.#pool = pool;
    this.#statement = statement;
    this.#patience = patienceMs;
    this.#usual = usualMs;
  }

  /** Gives it no more time than usual from now on, although it has not been answered yet. */
  settle(): void {
    this.#patience = this.#usual;
  }

  /** @throws what pg throws, `Query read timeout` among it. */
  async ask(values: unknown[] = []): Promise<Row[]> {
    const patience = this.#patience;
    try {
      // pg takes the limit of a single query, and its types don't know.
      const query = { ...this.#statement, values, query_timeout: patience } as pg.QueryConfig;
      const { rows } = await this.#pool.query<Row>(query);
      this.#patience = this.#usual;
      return rows;
    } catch (error) {
      if ((error as Error).message === 'Query read timeout') {
        this.#patience = Math.min(2 * patience, LONGEST_PATIENCE_MS);
      }
      throw error;
    }
  }
}
