/** What became of a row that a writer has written. */
export type Outcome = 'committed' | 'rolled back' | 'unknown';

/** One change that a writer has made: a row of its own key, so that an event which names it means just this. */
export interface Written {
  readonly resource: string;
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
}

/** The outcome of a run. */
export interface Verdict {
  readonly clients: number;
  readonly committed: number;
  /** Pairs of a client and a change that had to be covered. */
  readonly pairs: number;
  readonly coveredByName: number;
  readonly coveredByRefetch: number;
  readonly coveredByResync: number;
  readonly missed: string[];
  readonly ghosts: string[];
  readonly disorders: string[];
  /** The longest time that a change took to a steady client, in ms. */
  readonly longestDelayMs: number;
}

/** Compares what was written with what each client was told. */
export function judge(written: readonly Written[], accounts: readonly Account[]): Verdict {
  const never = new Set(written.filter(({ outcome }) => outcome === 'rolled back').map(nameOf));
  const verdict = { coveredByName: 0, coveredByRefetch: 0, coveredByResync: 0, pairs: 0, longestDelayMs: 0 };
  const missed: string[] = [];
  const ghosts: string[] = [];
  const disorders: string[] = [];
  const committed = written.filter(({ outcome }) => outcome === 'committed');

  for (const { name, since, told, steady } of accounts) {
    const named = new Map<string, number>();
    const refetches = new Map<string, Told[]>();
    for (const item of told) {
      if (!item.keys) refetches.set(item.resource, [...(refetches.get(item.resource) ?? []), item]);
      for (const key of item.keys ?? []) {
        const change = nameOf({ resource: item.resource, key, operation: item.operation ?? '' });
        if (never.has(change)) ghosts.push(`${name}: ${change}`);
        if (!named.has(change)) named.set(change, item.at);
      }
    }
    disorders.push(...disordersIn(name, told));
    for (const change of committed) {
      if (change.commitSent < since) continue;
      verdict.pairs += 1;
      const byName = change.unnamed ? undefined : named.get(nameOf(change));
      // Told after the commit was sent: the answer to a COMMIT may come later than its event. Another statement's event
      // without keys is no excuse for a change that has to be named.
      const refetch =
        byName === undefined
          ? refetches
              .get(change.resource)
              ?.find(({ at, operation }) => at >= change.commitSent && (change.unnamed || !operation))
          : undefined;
      if (byName !== undefined) verdict.coveredByName += 1;
      else if (refetch?.resync) verdict.coveredByResync += 1;
      else if (refetch) verdict.coveredByRefetch += 1;
      else missed.push(`${name}: ${nameOf(change)} committed at ${change.commitAnswered}`);
      const at = byName ?? refetch?.at;
      if (steady && at) verdict.longestDelayMs = Math.max(verdict.longestDelayMs, at - change.commitAnswered);
    }
  }
  return { ...verdict, clients: accounts.length, committed: committed.length, missed, ghosts, disorders };
}

/** A row is inserted, updated and deleted, in this order: so it must be told first, whatever is told again later. */
function disordersIn(client: string, told: readonly Told[]): string[] {
  const steps = ['insert', 'update', 'delete'];
  const reached = new Map<string, number>();
  const refetched = new Set<string>();
  const disorders: string[] = [];
  for (const { resource, operation, keys } of told) {
    if (!keys) refetched.add(resource);
    const step = steps.indexOf(operation ?? '');
    for (const key of keys ?? []) {
      const row = `${resource} ${key}`;
      const before = reached.get(row) ?? -1;
      // A step that was left out may have been covered by a refetch in between.
      if (step > before + 1 && !refetched.has(resource))
        disorders.push(`${client}: ${row} ${operation} before ${steps[before + 1]}`);
      reached.set(row, Math.max(before, step));
    }
  }
  return disorders;
}

function nameOf({ resource, key, operation }: { resource: string; key: number; operation: string }): string {
  return `${operation} ${resource} ${key}`;
}
