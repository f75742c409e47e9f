/** Tenants whose rows the test's subscribers may receive. */
export const OWN_TENANTS = [7, 8] as const;
/** Tenants of others. */
export const OTHER_TENANTS = [20, 21, 22, 23, 24, 25] as const;

/** Invoices of others that are there in each history, so that a statement can change a row of theirs beside an own one. */
export const ANCHORS = [9000, 9001, 9002, 9003] as const;
/** The same, for statements that delete. */
export const VICTIMS = Array.from({ length: 24 }, (_, i) => 9100 + i);

/**
 * Invoices of tenants and their positions, with all that makes changes hard to tell: cascades from the tenant and from the
 * invoice, triggers that write into both tables, also into the row that has just been written.
 *
 * `protokoll` is an audit by row triggers, which know nothing of the feed: each row that changed, with its tenant and project
 * before and after.
 */
export const TABLES = `
  create table mandant (id int primary key);
  create table rechnung (
    id int primary key, mandant_id int references mandant on delete cascade, projekt_id int, betrag int not null default 0);
  create table posten (
    id int primary key, rechnung_id int references rechnung on update cascade on delete cascade, mandant_id int, menge int);
  create index on rechnung (mandant_id, id);
  create index on posten (rechnung_id, id);
  create table protokoll (tabelle text, nr int, mandant_id int, projekt_id int);

  create function schreibe_protokoll() returns trigger language plpgsql as $$
  begin
    if tg_op <> 'INSERT' then
      insert into protokoll values (tg_table_name, old.id, old.mandant_id, (to_jsonb(old) ->> 'projekt_id')::int);
    end if;
    if tg_op <> 'DELETE' then
      insert into protokoll values (tg_table_name, new.id, new.mandant_id, (to_jsonb(new) ->> 'projekt_id')::int);
    end if;
    return null;
  end $$;
  create trigger protokoll after insert or update or delete on rechnung for each row execute function schreibe_protokoll();
  create trigger protokoll after insert or update or delete on posten for each row execute function schreibe_protokoll();

  -- A new invoice has a position, and one that is above 90 is set back: by triggers within the statement.
  create function fuehre_posten() returns trigger language plpgsql as $$
  begin
    if tg_op = 'INSERT' then
      insert into posten values (10 * new.id, new.id, new.mandant_id, 1) on conflict (id) do update set menge = posten.menge + 1;
    elsif new.betrag is distinct from old.betrag then
      update posten set menge = menge + 1 where rechnung_id = new.id;
    end if;
    if new.betrag > 90 then
      update rechnung set betrag = 0 where id = new.id;
    end if;
    return null;
  end $$;
  create trigger posten after insert or update on rechnung for each row execute function fuehre_posten();

  select change_feed.watch('rechnung', scopes => '{mandant_id, mandant_id&projekt_id}');
  select change_feed.watch('posten', scopes => '{mandant_id}');`;

/**
 * Makes statements visit rows in the order of their keys. Else the order depends on where rows of others have left space, and
 * row triggers write in that order.
 */
export const IN_ORDER_OF_KEYS = ['seqscan', 'bitmapscan', 'hashjoin', 'mergejoin']
  .map((way) => `set enable_${way} = off`)
  .join('; ');

/** Brings the tables to where each history begins. @param tenantOf gives each invoice of others its tenant. */
export function baseData(tenantOf: (id: number) => number): string {
  const own = [1, 2, 3].map((id) => `(${id}, ${OWN_TENANTS[id % 2]}, ${id % 2}, ${id})`);
  const others = [...ANCHORS, ...VICTIMS].map((id) => `(${id}, ${tenantOf(id)}, 1, 1)`);
  const tenants = [...OWN_TENANTS, ...OTHER_TENANTS].map((id) => `(${id})`);
  return `
    truncate posten, rechnung, mandant;
    insert into mandant values ${tenants.join()};
    insert into rechnung values ${[...own, ...others].join()};
    truncate protokoll;`;
}
