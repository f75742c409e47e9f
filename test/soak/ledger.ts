/** Each row belongs to one of so many tenants: to the one with the number of its key modulo this. */
export const TENANTS = 4;

/** What became of a row that a writer has written; `lost`: committed, and gone with a crash or a failover. */
export type Outcome = 'committed' | 'rolled back' | 'unknown' | 'lost';

/** One change that a writer has made: a row of its own key, so that an event which names it means just this. */
export interface Written {
  readonly resource: string;
  /** One of them, where the statement is {@link Written.unnamed}. */
  readonly key: number;
  readonly operation: 'insert' | 'update' | 'delete';
  /** When COMMIT was sent, and when its answer came; in ms. */
  commitSent: number;
  commitAnswered: number;
  outcome: Outcome;
  /** Of a statement that changes so many rows that its event names none. */
  readonly unnamed: boolean;
}

/** What a client was told, in the order in which it came. */
export interface Told {
  readonly at: number;
  readonly resource: string;
  /** Absent: refetch all of it. */
  readonly operation?: string;
  readonly keys?: readonly number[];
  readonly resync: boolean;
}

/** What one client has to show. */
export interface Account {
  readonly name: string;
  /** From here on everything has to be covered. */
  readonly since: number;
  readonly told: readonly Told[];
  /** Whether its connection was never cut on purpose: then the delay of each change counts. */
  readonly steady: boolean;
  /** It may receive the rows of this tenant alone. Absent: all rows. */
  readonly tenant?: number;
}

/** The outcome of a stretch. */
export interface Verdict {
  committed: number;
  lost: number;
  /** Pairs of a client and a change that had to be covered. */
  pairs: number;
  coveredByName: number;
  coveredByRefetch: number;
  coveredByResync: number;
  /** The longest time that a change took to a steady client, in ms. */
  longestDelayMs: number;
  /** What must not be, in words. */
  readonly wrongs: string[];
}

/** Compares what was written with what each client was told. */
export function judge(written: readonly Written[], accounts: readonly Account[]): Verdict {
  const of = (outcome: Outcome) => written.filter((change) => change.outcome === outcome);
  const [committed, lost] = [of('committed'), of('lost')];
  const never = new Set(of('rolled back').map(nameOf));
  const verdict: Verdict = {
    committed: committed.length,
    lost: lost.length,
    pairs: 0,
    coveredByName: 0,
    coveredByRefetch: 0,
    coveredByResync: 0,
    longestDelayMs: 0,
    wrongs: [],
  };
  const firstKey = written.reduce((least, { key }) => Math.min(least, key), Number.POSITIVE_INFINITY);
  for (const account of accounts) {
    const heard = new Heard(account);
    for (const name of heard.names()) if (never.has(name)) verdict.wrongs.push(`${account.name}: ${name} rolled back`);
    verdict.wrongs.push(...disordersIn(account, firstKey), ...keysOfOthersIn(account));
    for (const change of committed) if (concerns(change, account)) cover(verdict, change, account, heard);
    for (const change of lost) {
      // Whoever was told before it was lost has to hear that it may not be so.
      const told = heard.lastOf(nameOf(change));
      if (told !== undefined && !heard.refetch(change.resource, told, false))
        verdict.wrongs.push(`${account.name}: ${nameOf(change)} was lost, and still stands`);
    }
  }
  return verdict;
}

/** A statement that names no keys changes rows of each tenant. */
function concerns({ key, unnamed }: Written, { tenant }: Account): boolean {
  return tenant === undefined || unnamed || key % TENANTS === tenant;
}

/** Says of each event that names a row of another tenant that it must not be. */
function keysOfOthersIn({ name, told, tenant }: Account): string[] {
  if (tenant === undefined) return [];
  const others = told.flatMap(({ resource, keys = [] }) =>
    keys.filter((key) => key % TENANTS !== tenant).map((key) => `${resource} ${key}`),
  );
  return others.map((row) => `${name}: ${row} is a row of another tenant`);
}

function cover(verdict: Verdict, change: Written, { name, since, steady }: Account, heard: Heard): void {
  if (change.commitSent < since) return;
  verdict.pairs += 1;
  const byName = change.unnamed ? undefined : heard.firstOf(nameOf(change));
  if (byName !== undefined && byName < change.commitSent)
    verdict.wrongs.push(`${name}: ${nameOf(change)} told ${change.commitSent - byName} ms before its commit`);
  // Told after the commit was sent: the answer to a COMMIT may come later than its event. Another statement's event
  // without keys is no excuse for a change that has to be named.
  const refetch = byName === undefined ? heard.refetch(change.resource, change.commitSent, change.unnamed) : undefined;
  if (byName !== undefined) verdict.coveredByName += 1;
  else if (refetch?.resync) verdict.coveredByResync += 1;
  else if (refetch) verdict.coveredByRefetch += 1;
  else verdict.wrongs.push(`${name}: ${nameOf(change)} missed, committed at ${change.commitAnswered}`);
  const at = byName ?? refetch?.at;
  if (steady && at) verdict.longestDelayMs = Math.max(verdict.longestDelayMs, at - change.commitAnswered);
}

/** What one client has heard, for questions about each change. */
class Heard {
  readonly #first = new Map<string, number>();
  readonly #last = new Map<string, number>();
  /** Events without keys, by resource, in their order; and those among them that name no operation either. */
  readonly #keyless = new Map<string, Told[]>();
  readonly #refetches = new Map<string, Told[]>();

  constructor({ told }: Account) {
    for (const item of told) {
      const { resource, operation = '', keys, at } = item;
      if (!keys) append(this.#keyless, resource, item);
      if (!operation) append(this.#refetches, resource, item);
      for (const key of keys ?? []) {
        const name = nameOf({ resource, key, operation });
        if (!this.#first.has(name)) this.#first.set(name, at);
        this.#last.set(name, at);
      }
    }
  }

  names = () => this.#first.keys();
  firstOf = (name: string) => this.#first.get(name);
  lastOf = (name: string) => this.#last.get(name);

  /** The first advice to refetch a resource from a time on. @param keyless events without keys count, too. */
  refetch(resource: string, from: number, keyless: boolean): Told | undefined {
    const list = (keyless ? this.#keyless : this.#refetches).get(resource) ?? [];
    let [low, high] = [0, list.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((list[middle] as Told).at < from) low = middle + 1;
      else high = middle;
    }
    return list[low];
  }
}

/** A row is inserted, updated and deleted, in this order: so it must be told first, whatever is told again later. */
function disordersIn({ name, told }: Account, firstKey: number): string[] {
  const steps = ['insert', 'update', 'delete'];
  const reached = new Map<string, number>();
  const refetched = new Set<string>();
  const disorders: string[] = [];
  for (const { resource, operation, keys } of told) {
    if (!keys) refetched.add(resource);
    const step = steps.indexOf(operation ?? '');
    for (const key of keys ?? []) {
      if (key < firstKey) continue; // told again, of a stretch before this one
      const row = `${resource} ${key}`;
      const before = reached.get(row) ?? -1;
      // A step that was left out may have been covered by a refetch in between.
      if (step > before + 1 && !refetched.has(resource))
        disorders.push(`${name}: ${row} ${operation} before ${steps[before + 1]}`);
      reached.set(row, Math.max(before, step));
    }
  }
  return disorders;
}

/** What names a change, in the ledger and in events. */
export function nameOf({ resource, key, operation }: { resource: string; key: number; operation: string }): string {
  return `${operation} ${resource} ${key}`;
}

function append<Item>(lists: Map<string, Item[]>, name: string, item: Item): void {
  const list = lists.get(name);
  if (list) list.push(item);
  else lists.set(name, [item]);
}
