import type { ChangeLog } from './change-log.js';

/** The log as it stands, for metrics. */
export interface LogState {
  /** Rows of the log; those of statements that were rolled back are counted, too. */
  readonly rows: number;
  /** How long ago the oldest change was made, in seconds; 0 when there is none. */
  readonly ageS: number;
  /** How full the NOTIFY queue of the whole Postgres cluster is, from 0 to 1. */
  readonly queueUsage: number;
  /** Names that tables are watched as. */
  readonly watched: readonly string[];
}

/**
 * Only the two ends of the log are looked up, on its primary key: to count it would take a scan. The first is searched
 * from the horizon on, for before it lie the entries of what was pruned until VACUUM has passed.
 */
const STATE = `
  select pg_notification_queue_usage() as "queueUsage",
    coalesce(last.id - first.id + 1, 0)::float8 as rows,
    greatest(coalesce(extract(epoch from clock_timestamp() - first.at), 0), 0)::float8 as "ageS",
    array(select w.resource from change_feed.watched_table w) as watched
  from (select) as always_a_row
  left join lateral (
    select c.id, c.at from change_feed.change c
    where c.xid >= coalesce((select pg_snapshot_xmin(h.snapshot) from change_feed.horizon h), '0')
    order by c.xid, c.id limit 1
  ) first on true
  left join lateral (select c.id from change_feed.change c order by c.xid desc, c.id desc limit 1) last on true`;

/** @throws what pg throws when the database can't be reached. */
export async function readLogState(log: ChangeLog): Promise<LogState> {
  const [state] = await log.query<{ rows: number; ageS: number; queueUsage: number; watched: string[] }>(STATE);
  if (!state) throw new Error('Expected a row');
  return state;
}
