import type { ChangeLog } from './change-log.js';

/** The log as it stands, for metrics. */
export interface LogState {
  /** Changes in the log as of the last tick: one is noted each minute. */
  readonly rows: number;
  /** The age of the oldest change, in seconds; 0 when there is none. */
  readonly ageS: number;
  /** The share of the whole cluster's NOTIFY queue that is in use, from 0 to 1. */
  readonly queueUsage: number;
  /** Names that tables are watched as. */
  readonly watched: readonly string[];
}

/**
 * Selects the state of the log. The ticks say how many changes there were; to count them would take a scan. The oldest change
 * is searched from the horizon on, for before it lie the entries of what was pruned until VACUUM has passed.
 * @param more further columns.
 */
export const selectLogState = (more: string) => `
  select pg_notification_queue_usage() as "queueUsage",
    coalesce((select t.changes from change_feed.tick t order by t.id desc limit 1)
      - coalesce((select t.changes from change_feed.horizon h join change_feed.tick t on t.id = h.tick), 0), 0)::float8 as rows,
    greatest(coalesce(extract(epoch from clock_timestamp() - first.at), 0), 0)::float8 as "ageS",
    ${more}
  from (select) as always_a_row
  left join lateral (
    select c.at from change_feed.change c
    where c.xid >= coalesce((select pg_snapshot_xmin(h.snapshot) from change_feed.horizon h), '0')
    order by c.xid limit 1
  ) first on true`;

const WITH_WATCHED = selectLogState(
  'array(select change_feed.readable_name(w.resource) from change_feed.watched_table w) as watched',
);

/** @throws what pg throws when the database can't be reached. */
export async function readLogState(log: ChangeLog): Promise<LogState> {
  const [state] = await log.query<{ rows: number; ageS: number; queueUsage: number; watched: string[] }>(WITH_WATCHED);
  if (!state) throw new Error('Expected a row');
  return state;
}
