import type pg from 'pg';
import { nameOf, type Written } from './ledger.js';
import { TABLES } from './writers.js';

/**
 * Asks the log what became of the changes, now that every transaction has ended: of those whose COMMIT was never
 * answered, and, where commits may be lost (`mayLose`), of the others. The log has a change if and only if its
 * transaction committed, and the commit survived.
 * @returns what must not be: commits that the log lacks, and rollbacks that it has.
 */
export async function settle(written: readonly Written[], psql: pg.Client, mayLose: boolean): Promise<string[]> {
  const firstKey = written.reduce((least, { key }) => Math.min(least, key), 2 ** 31 - 1);
  const named = await psql.query<{ resource: string; operation: string; key: number }>(
    `select c.resource, c.details[1] as operation, k.key::int as key
      from change_feed.change c cross join jsonb_array_elements(case when c.keys like '[%' then c.keys::jsonb end) as k (key)
      where c.resource = any ($1) and k.key::int >= $2`,
    [TABLES, firstKey],
  );
  const logged = new Set(named.rows.map(nameOf));
  for (const resource of TABLES) {
    // The log names no keys of theirs, but the rows are there.
    const unnamed = written.filter((change) => change.unnamed && change.resource === resource);
    const { rows } = await psql.query<{ id: number }>(`select id from ${resource} where id = any ($1)`, [
      unnamed.map(({ key }) => key),
    ]);
    for (const { id } of rows) logged.add(nameOf({ resource, key: id, operation: 'insert' }));
  }

  const wrongs: string[] = [];
  for (const change of written) {
    const there = logged.has(nameOf(change));
    if (there && change.outcome === 'rolled back') wrongs.push(`${nameOf(change)} rolled back, and in the log`);
    if (there || change.outcome === 'rolled back' || change.outcome === 'lost') continue;
    if (change.outcome === 'committed' && !mayLose) wrongs.push(`${nameOf(change)} committed, and not in the log`);
    else change.outcome = mayLose ? 'lost' : 'rolled back';
  }
  return wrongs;
}
