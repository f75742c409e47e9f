import type { LoggedChange, ScopedStatement } from '../change.js';
import { certainPartsOf, mixedGroups } from '../feed/log/operation-groups.js';
import { sumsUp } from './refetch.js';
import type { ScopedTopic } from './scoped-topic.js';

/** Collects what the subscribers of one scope receive of one read. */
export class ScopeParts {
  readonly #parts: LoggedChange[] = [];
  /** The transaction of the last change of which it is not known what it changed, and how many such changes there are. */
  #unknown: { readonly xid: bigint | undefined; readonly count: number } | undefined;

  /** @param topic the scope. */
  constructor(readonly topic: ScopedTopic) {}

  /** Adds a statement, if it changed rows of the scope. */
  add(statement: ScopedStatement): void {
    const { columns, value, resource, scope } = this.topic;
    const { change, valuesOf } = statement;
    const values = valuesOf(columns);
    if (!values) this.addUnknown(change.xid);
    if (!values?.keys.has(value)) return;
    const keysText = values.keys.get(value);
    const { operation, data, dataText, origin, xid } = change;
    this.#parts.push({
      resource,
      scope,
      ...(operation && { operation }),
      ...(keysText !== undefined && { keys: JSON.parse(keysText) as unknown[], keysText }),
      ...(data !== undefined && { data }),
      ...(dataText !== undefined && { dataText }),
      // It would tell who changed rows of others.
      ...(origin && !values.several && { origin }),
      ...(xid !== undefined && { xid }),
    });
  }

  /** Adds a change of which it is not known what it changed: subscribers of every scope receive that something did. */
  addUnknown(xid: bigint | undefined): void {
    this.#unknown = { xid, count: (this.#unknown?.count ?? 0) + 1 };
  }

  /**
   * Returns them in their order, and last that something changed, if that is so. Where a transaction did different things
   * to a row, the row comes once without operation, also where the log knows the order: it knows that from what else the
   * transaction did, to rows of others maybe.
   */
  changes(): readonly LoggedChange[] {
    const known = withoutMixedOperations(this.#parts);
    if (!this.#unknown) return known;
    const { resource, scope } = this.topic;
    const { xid, count } = this.#unknown;
    return [...known, { resource, scope, ...(xid !== undefined && count === 1 && { xid }) }];
  }
}

/** Which changes count for {@link partsFor}. */
export interface PartsOptions {
  /** Tells whether a transaction counts. Default: each does. */
  readonly missed?: (xid: bigint | undefined) => boolean;
  /** Changes that do not count. Default: none. */
  readonly except?: ReadonlySet<LoggedChange>;
}

/** Returns what the subscribers of a scope receive of these changes. */
export function partsFor(
  topic: ScopedTopic,
  changes: readonly LoggedChange[],
  { missed = () => true, except }: PartsOptions = {},
): readonly LoggedChange[] {
  const parts = new ScopeParts(topic);
  for (const change of changes) {
    if (change.resource !== topic.resource || except?.has(change)) continue;
    if (!change.statements && missed(change.xid)) parts.addUnknown(change.xid);
    for (const statement of change.statements ?? []) {
      if (missed(statement.change.xid)) parts.add(statement);
    }
  }
  return parts.changes();
}

/** Compares scopes by their text: see {@link partsOfScopes}. */
export function compareScopes({ text: one }: ScopedTopic, { text: other }: ScopedTopic): number {
  return one < other ? -1 : Number(one > other);
}

/**
 * Returns what the subscriber of these scopes receives, scope by scope, in the order of their text. The order of the read would
 * tell of others: a read that has many of their changes is summed up, and then has no order across scopes.
 */
export function partsOfScopes(
  topics: readonly ScopedTopic[],
  partsOf: (topic: ScopedTopic) => readonly LoggedChange[],
): readonly LoggedChange[] {
  return topics.toSorted(compareScopes).flatMap(partsOf);
}

function withoutMixedOperations(changes: readonly LoggedChange[]): readonly LoggedChange[] {
  if (changes.length < 2) return changes;
  const groups = mixedGroups(changes, (change) =>
    change.xid === undefined || change.operation === 'emit' || sumsUp(change) ? undefined : String(change.xid),
  );
  if (groups.size === 0) return changes;
  return changes.flatMap((change) => {
    const group = groups.get(change);
    return group ? certainPartsOf(change, group) : [change];
  });
}
