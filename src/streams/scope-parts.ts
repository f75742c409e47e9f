import type { LoggedChange, ScopedStatement } from '../change.js';
import { certainPartsOf, mixedGroups } from '../feed/log/operation-groups.js';
import { sumsUp } from './refetch.js';
import { ScopedChanges, type StatementOfScope, type UnknownOfScope } from './scoped-changes.js';
import type { ScopedTopic } from './scoped-topic.js';

/** Which changes count for {@link partsFor}. */
export interface PartsOptions {
  /** Tells whether a transaction counts. Default: each does. */
  readonly missed?: (xid: bigint | undefined) => boolean;
  /** Changes that do not count. Default: none. */
  readonly except?: ReadonlySet<LoggedChange>;
}

/** Returns what the subscribers of a scope receive of these changes: see {@link partsOf}. */
export function partsFor(
  topic: ScopedTopic,
  changes: readonly LoggedChange[],
  { missed = () => true, except }: PartsOptions = {},
): readonly LoggedChange[] {
  const { statements, unknown } = ScopedChanges.of(changes).over(topic.resource, topic.columns);
  const counts = ({ change, xid }: UnknownOfScope) => missed(xid) && !except?.has(change);
  return partsOf(topic, (statements.get(topic.value) ?? []).filter(counts), unknown.filter(counts));
}

/**
 * Returns what the subscribers of a scope receive: the parts of statements in their order, and last that something changed,
 * if that is so. Where a transaction did different things to a row, the row comes once without operation, also where the
 * log knows the order: it knows that from what else the transaction did, to rows of others maybe.
 * @param statements that changed rows of the scope.
 * @param unknown changes of which it is not known what they changed.
 */
export function partsOf(
  topic: ScopedTopic,
  statements: readonly StatementOfScope[],
  unknown: readonly UnknownOfScope[],
): readonly LoggedChange[] {
  const known = withoutMixedOperations(statements.map(({ statement }) => partOf(topic, statement)));
  const [first, ...others] = unknown;
  if (!first) return known;
  const { resource, scope } = topic;
  return [...known, { resource, scope, ...(first.xid !== undefined && others.length === 0 && { xid: first.xid }) }];
}

function partOf({ columns, value, resource, scope }: ScopedTopic, { change, valuesOf }: ScopedStatement): LoggedChange {
  const values = valuesOf(columns);
  const keysText = values?.keys.get(value);
  const { operation, data, dataText, origin, xid } = change;
  return {
    resource,
    scope,
    ...(operation && { operation }),
    ...(keysText !== undefined && { keys: JSON.parse(keysText) as unknown[], keysText }),
    ...(data !== undefined && { data }),
    ...(dataText !== undefined && { dataText }),
    // It would tell who changed rows of others.
    ...(origin && !values?.several && { origin }),
    ...(xid !== undefined && { xid }),
  };
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
  partsOfTopic: (topic: ScopedTopic) => readonly LoggedChange[],
): readonly LoggedChange[] {
  return topics.toSorted(compareScopes).flatMap(partsOfTopic);
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
