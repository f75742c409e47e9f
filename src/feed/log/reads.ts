import type pg from 'pg';
import { AdaptiveTimeout } from './adaptive-timeout.js';
import type { ReadingRow } from './change-rows.js';
import { READ, READ_SUMMED_UP } from './statements.js';
import { READ_SUMMED_UP_BY_SCOPE } from './summed-up-scopes.js';

/** A read, one by one and summed up. */
export interface Reads {
  readonly each: AdaptiveTimeout<ReadingRow>;
  readonly summedUp: AdaptiveTimeout<ReadingRow>;
  readonly summedUpByScope: AdaptiveTimeout<ReadingRow>;
}

/** Makes the reads over a pool. @param patienceMs until one has been answered for the first time. */
export function readsOver(pool: pg.Pool, patienceMs?: number): Reads {
  return {
    each: new AdaptiveTimeout(pool, { name: 'read', text: READ }, patienceMs),
    summedUp: new AdaptiveTimeout(pool, { name: 'read summed up', text: READ_SUMMED_UP }, patienceMs),
    summedUpByScope: new AdaptiveTimeout(
      pool,
      { name: 'read summed up by scope', text: READ_SUMMED_UP_BY_SCOPE },
      patienceMs,
    ),
  };
}
