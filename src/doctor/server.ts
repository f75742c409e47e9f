import type pg from 'pg';
import type { Check, Finding } from './finding.js';

/** A transaction that is open for longer keeps VACUUM from cleaning up, in minutes. */
const LONG_MIN = 5;
/** The share of the queue from which writers no longer notify: see change_feed.notify_at_commit(). */
const FULL_QUEUE = 0.5;
/** A tick is noted each minute while a server runs; later ones mean that none prunes, in minutes. */
const LATE_TICK_MIN = 10;

/** The Postgres server: its version, its settings, its NOTIFY queue, and what holds it up. */
export const checkServer: Check = async (client) => {
  const { rows } = await client.query(`
    select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
      pg_is_in_recovery() as standby, current_setting('max_prepared_transactions')::int as prepared,
      pg_notification_queue_usage() as queue`);
  const { version, number, standby, prepared, queue } = rows[0];
  const findings: Finding[] = [
    number >= 140_000
      ? { level: 'ok', about: 'Postgres', says: `version ${version}` }
      : { level: 'fail', about: 'Postgres', says: `version ${version} is too old`, cure: 'upgrade to 14 or later' },
  ];
  if (standby) {
    findings.push({
      level: 'fail',
      about: 'Postgres',
      says: 'it is a standby, where LISTEN does not work',
      cure: 'set DATABASE_URL to the primary',
    });
  }
  if (prepared > 0) {
    findings.push({
      level: 'info',
      about: 'max_prepared_transactions',
      says: `it is ${prepared}, so no writer notifies, and the servers read every 100 ms`,
      cure: 'set it to 0 where nothing uses PREPARE TRANSACTION',
    });
  }
  findings.push(
    queue < FULL_QUEUE
      ? { level: 'ok', about: 'NOTIFY queue', says: `${Math.round(queue * 100)} % full` }
      : {
          level: 'fail',
          about: 'NOTIFY queue',
          says: `${Math.round(queue * 100)} % full: writers do not notify, and at 100 % each NOTIFY fails`,
          cure: 'end the session that listens in an old transaction: select pid, xact_start, query from pg_stat_activity order by xact_start',
        },
  );
  return findings;
};

/**
 * Transactions that are open for long, prepared ones among them: the log can't be cleaned up under them.
 * @param overMin from how many minutes on.
 */
export const checkOpenTransactions = async (client: pg.Client, overMin = LONG_MIN): Promise<Finding[]> => {
  const { rows } = await client.query(
    `
    select format('the session with pid %s (%s)', pid, coalesce(nullif(application_name, ''), usename)) as who,
      xact_start as since, format('select pg_terminate_backend(%s)', pid) as cure
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and xact_start < clock_timestamp() - $1 * interval '1 min'
    union all
    select format('the prepared transaction %L', gid), prepared, format('rollback prepared %L', gid)
    from pg_prepared_xacts
    where database = current_database() and prepared < clock_timestamp() - $1 * interval '1 min'`,
    [overMin],
  );
  const findings: Finding[] = rows.map(({ who, since, cure }) => ({
    level: 'warn',
    about: 'open transactions',
    says: `${who} has one open since ${since.toISOString()}: nothing can be cleaned up, and what it wrote is not told yet`,
    cure,
  }));
  const { rows: may } = await client.query(`select pg_has_role('pg_read_all_stats', 'USAGE') as seen`);
  if (!may[0].seen) {
    findings.push({
      level: 'info',
      about: 'open transactions',
      says: `those of other users can't be looked at as ${client.user}`,
      cure: 'run doctor as a superuser or a member of pg_read_all_stats',
    });
  }
  if (findings.length > 0) return findings;
  return [{ level: 'ok', about: 'open transactions', says: `none over ${overMin} minutes` }];
};

/** The log: its size, and whether it is pruned. */
export const checkLog: Check = async (client) => {
  const { rows } = await client.query(
    `
    select pg_size_pretty(pg_total_relation_size('change_feed.change')) as size,
      exists (select from change_feed.change) as filled,
      (select max(at) from change_feed.tick) as tick,
      coalesce((select max(at) from change_feed.tick) < clock_timestamp() - $1 * interval '1 min', true) as late`,
    [LATE_TICK_MIN],
  );
  const { size, filled, tick, late } = rows[0];
  if (!filled || !late) return [{ level: 'ok', about: 'log', says: `${size}, pruned` }];
  return [
    {
      level: 'warn',
      about: 'log',
      says: `${size}, and nobody has looked after it ${tick ? `since ${tick.toISOString()}` : 'yet'}: it grows`,
      cure: 'run a server: pg-change-feed serve',
    },
  ];
};
