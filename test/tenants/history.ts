import fc from 'fast-check';
import { ANCHORS, OTHER_TENANTS, OWN_TENANTS, VICTIMS } from './tables.js';

/** The statements of one transaction, and its end. */
export interface TenantTransaction {
  readonly statements: readonly string[];
  readonly end: 'commit' | 'rollback';
}

/** One history with two sets of rows for the others: what own rows go through is the same in both. */
export type TwofoldHistory = readonly [readonly TenantTransaction[], readonly TenantTransaction[]];

/** Rows of others that a statement on own rows changes, too: to be added to its lists, and empty where there are none. */
interface Beside {
  /** New rows, and one that is there. */
  readonly rows: string;
  /** The ids of rows that are there. */
  readonly ids: string;
  /** The id of a row that is there, and is deleted. */
  readonly victims: string;
}

/** A statement on own rows. */
type OwnStatement = (beside: Beside) => string;

const ownId = fc.integer({ min: 1, max: 8 });
const ownIds = fc.uniqueArray(ownId, { minLength: 1, maxLength: 4 });
const ownTenant = fc.constantFrom<(number | null)[]>(...OWN_TENANTS, null);
const project = fc.constantFrom<(number | null)[]>(0, 1, null);
const amount = fc.integer({ min: 0, max: 99 });
const ownRow = fc
  .tuple(ownId, ownTenant, project, amount)
  .map(([id, tenant, projekt, betrag]) => `(${id}, ${tenant ?? 'null'}::int, ${projekt ?? 'null'}::int, ${betrag})`);
const ownRows = fc.array(ownRow, { minLength: 1, maxLength: 4 }).map(distinctIds);

const ownStatement: fc.Arbitrary<OwnStatement> = fc.oneof(
  ownRows.map(
    (rows): OwnStatement =>
      ({ rows: more }) =>
        `insert into rechnung values ${rows}${more} on conflict do nothing`,
  ),
  ownRows.map(
    (rows): OwnStatement =>
      ({ rows: more }) =>
        `insert into rechnung values ${rows}${more} on conflict (id) do update
          set betrag = excluded.betrag, mandant_id = excluded.mandant_id`,
  ),
  fc.tuple(ownIds, amount).map(
    ([ids, betrag]): OwnStatement =>
      ({ ids: more }) =>
        `update rechnung set betrag = ${betrag} where id in (${ids}${more})`,
  ),
  fc.tuple(ownIds, ownTenant).map(
    ([ids, tenant]): OwnStatement =>
      ({ ids: more }) =>
        `update rechnung set mandant_id = case when id < 1000 then ${tenant ?? 'null'}::int else mandant_id end
          where id in (${ids}${more})`,
  ),
  fc.tuple(ownIds, project).map(
    ([ids, projekt]): OwnStatement =>
      ({ ids: more }) =>
        `update rechnung set projekt_id = ${projekt ?? 'null'}::int where id in (${ids}${more})`,
  ),
  // The key itself changes.
  fc.tuple(ownId, ownId).map(
    ([from, to]): OwnStatement =>
      () =>
        `update rechnung set id = ${to} where id = ${from}`,
  ),
  ownIds.map(
    (ids): OwnStatement =>
      ({ victims }) =>
        `delete from rechnung where id in (${ids}${victims})`,
  ),
  ownIds.map(
    (ids): OwnStatement =>
      ({ victims }) =>
        `delete from posten where rechnung_id in (${ids}${victims})`,
  ),
  fc.constantFrom(...OWN_TENANTS).map(
    (tenant): OwnStatement =>
      () =>
        `delete from mandant where id = ${tenant}`,
  ),
  fc.tuple(ownRows, ownIds).map(
    ([rows, ids]): OwnStatement =>
      ({ rows: more }) =>
        `merge into rechnung r using (values ${rows}${more}) as n (id, mandant_id, projekt_id, betrag) on r.id = n.id
        when matched and r.id in (${ids}) then delete
        when matched then update set betrag = n.betrag
        when not matched then insert values (n.id, n.mandant_id, n.projekt_id, n.betrag)`,
  ),
  fc.tuple(ownIds, ownRows).map(
    ([ids, rows]): OwnStatement =>
      ({ victims, rows: more }) =>
        `with gone as (delete from rechnung where id in (${ids}${victims}) returning id)
        insert into rechnung select n.* from (values ${rows}${more}) as n (id, m, p, b)
          where (select count(*) from gone) >= 0 on conflict do nothing`,
  ),
  fc.tuple(ownId, ownTenant, amount).map(
    ([id, tenant, betrag]): OwnStatement =>
      () =>
        `copy rechnung from program 'printf "${id}\\t${tenant ?? '\\\\N'}\\t1\\t${betrag}\\n"'`,
  ),
  fc.constant<OwnStatement>(() => 'truncate posten'),
  fc.constant<OwnStatement>(() => `insert into mandant values (${OWN_TENANTS.join('), (')}) on conflict do nothing`),
  fc.constantFrom(...OWN_TENANTS).map(
    (tenant): OwnStatement =>
      () =>
        `select change_feed.emit('rechnung', '{"a": 1}', '{"mandant_id": ${tenant}}')`,
  ),
);

const otherId = fc.integer({ min: 1000, max: 1200 });
const otherTenant = fc.constantFrom(...OTHER_TENANTS);
const otherRow = fc
  .tuple(otherId, otherTenant, project, amount)
  .map(([id, ...values]) => `(${[id, ...values.map((value) => value ?? 'null::int')]})`);
const otherRows = (min: number, max: number) => fc.array(otherRow, { minLength: min, maxLength: max }).map(distinctIds);

/** A statement on rows of others alone: few, many, and so many that a read is summed up. */
const otherStatement = fc.oneof(
  otherRows(1, 5).map((rows) => `insert into rechnung values ${rows} on conflict do nothing`),
  otherRows(101, 140).map(
    (rows) => `insert into rechnung values ${rows} on conflict (id) do update set betrag = excluded.betrag`,
  ),
  fc
    .tuple(otherTenant, otherTenant)
    .map(
      ([from, to]) => `update rechnung set mandant_id = ${to} where mandant_id = ${from} and id between 1000 and 1200`,
    ),
  otherTenant.map((tenant) => `update rechnung set betrag = betrag + 1 where mandant_id = ${tenant}`),
  fc.array(otherId, { minLength: 1, maxLength: 20 }).map((ids) => `delete from rechnung where id in (${ids})`),
  otherRows(1, 3).map(
    (rows) => `merge into rechnung r using (values ${rows}) as n (id, m, p, b) on r.id = n.id
    when matched then delete when not matched then insert values (n.id, n.m, n.p, n.b)`,
  ),
  fc.tuple(otherId, fc.integer({ min: 1, max: 110 })).map(
    ([id, times]) => `do $$ begin for i in 1 .. ${times} loop
    insert into rechnung values (${id} + 1000 + i, 20, 1, i) on conflict (id) do update set betrag = rechnung.betrag + 1; end loop; end $$`,
  ),
  otherTenant.map((tenant) => `select change_feed.emit('rechnung', '{"geheim": 1}', '{"mandant_id": ${tenant}}')`),
);

/** Statements of others between own ones, and rows of theirs beside own ones. */
interface Others {
  readonly before: readonly string[];
  /** The others' part of an own statement, where that is to have one. */
  readonly rows: string;
  readonly tenant: number;
  readonly anchors: readonly number[];
}
const others: fc.Arbitrary<Others> = fc.record({
  before: fc.array(otherStatement, { maxLength: 2 }),
  rows: otherRows(1, 5),
  tenant: otherTenant,
  anchors: fc.uniqueArray(fc.constantFrom(...ANCHORS), { minLength: 1 }),
});

/** An own statement, whether it changes rows of others beside, and what the others do in the first and second history. */
const step = fc.record({
  own: ownStatement,
  mixed: fc.boolean(),
  undone: fc.boolean(),
  first: others,
  second: others,
});
const transaction = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
  end: fc.constantFrom<('commit' | 'rollback')[]>('commit', 'commit', 'commit', 'rollback'),
});

/** Random histories, each with two sets of rows for the others. */
export const twofoldHistory: fc.Arbitrary<TwofoldHistory> = fc
  .array(transaction, { minLength: 1, maxLength: 5 })
  .map((transactions) => {
    const of = (side: 'first' | 'second'): TenantTransaction[] => {
      // Where a statement inserts, updates or deletes rows of others in one history, it does in the other.
      const victims = [...VICTIMS];
      let fresh = 9500;
      const besideOf = ({ rows, tenant, anchors }: Others): Beside => {
        fresh += 1;
        const [anchor] = ANCHORS;
        return {
          rows: `, ${rows}, (${fresh}, ${tenant}, 1, 1), (${anchor}, ${tenant}, 1, 1)`,
          ids: `, ${anchors}`,
          victims: `, ${victims.pop()}`,
        };
      };
      return transactions.map(({ steps, end }) => ({
        end,
        statements: steps.flatMap(({ own, mixed, undone, [side]: those }) => {
          const statement = own(mixed ? besideOf(those) : { rows: '', ids: '', victims: '' });
          const statements = [...those.before, statement].flatMap(guarded);
          return undone ? ['savepoint schritt', ...statements, 'rollback to schritt'] : statements;
        }),
      }));
    };
    return [of('first'), of('second')] as const;
  });

/** A statement that may fail, and then is undone alone. */
function guarded(statement: string): string[] {
  return ['savepoint anweisung', statement, 'release anweisung'];
}

/** Lists rows, of each id the first. */
function distinctIds(rows: readonly string[]): string {
  return [...new Map(rows.toReversed().map((row) => [/\d+/.exec(row)?.[0], row])).values()].join(', ');
}
