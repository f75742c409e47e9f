import type { LoggedChange } from '../../change.js';
import { elementsOf } from '../../json-text.js';

/** Changes of one topic that one transaction made, between two moments of which the log knows the order. */
export interface OperationGroup {
  readonly changes: readonly LoggedChange[];
  /** Operations by the JSON of the key; those of changes that name no keys count for every key. */
  readonly operations: ReadonlyMap<string, ReadonlySet<string>>;
  readonly keyless: ReadonlySet<string>;
  /** The last change that has the key; `undefined` is the last that names no keys. */
  readonly last: ReadonlyMap<string | undefined, LoggedChange>;
}

/**
 * Groups changes, and returns the groups in which more than one kind of operation happened, by their changes.
 * @param keyOf names the group of a change; undefined: it belongs to none.
 */
export function mixedGroups(
  changes: readonly LoggedChange[],
  keyOf: (change: LoggedChange) => string | undefined,
): Map<LoggedChange, OperationGroup> {
  const all = new Map<string, LoggedChange[]>();
  for (const change of changes) {
    const key = keyOf(change);
    if (key === undefined) continue;
    const group = all.get(key);
    if (group) group.push(change);
    else all.set(key, [change]);
  }
  const mixed = new Map<LoggedChange, OperationGroup>();
  for (const group of all.values()) {
    if (group.every(({ operation }) => operation === group[0]?.operation)) continue;
    const summary = groupOf(group);
    for (const change of group) mixed.set(change, summary);
  }
  return mixed;
}

function groupOf(changes: readonly LoggedChange[]): OperationGroup {
  const operations = new Map<string, Set<string>>();
  const keyless = new Set<string>();
  const last = new Map<string | undefined, LoggedChange>();
  for (const change of changes) {
    if (!change.keys) {
      keyless.add(kindOf(change));
      last.set(undefined, change);
    }
    for (const key of (change.keys ?? []).map((part) => JSON.stringify(part))) {
      operations.set(key, (operations.get(key) ?? new Set()).add(kindOf(change)));
      last.set(key, change);
    }
  }
  return { changes, operations, keyless, last };
}

/**
 * Splits a change of a group: the keys to which only one kind of operation happened, and without an operation those whose last
 * change it was.
 */
export function certainPartsOf(change: LoggedChange, group: OperationGroup): LoggedChange[] {
  if (!change.keys) return group.last.get(undefined) === change ? [withoutOperation(change, group)] : [];
  const certain: number[] = [];
  const uncertain: number[] = [];
  for (const [place, key] of change.keys.entries()) {
    const text = JSON.stringify(key);
    const operations = new Set([...group.keyless, ...(group.operations.get(text) ?? [])]);
    if (operations.size === 1) certain.push(place);
    else if (group.last.get(text) === change) uncertain.push(place);
  }
  if (certain.length === change.keys.length) return [change];
  return [
    ...(certain.length > 0 ? [{ ...change, ...keysAt(change, certain) }] : []),
    ...(uncertain.length > 0 ? [{ ...withoutOperation(change, group), ...keysAt(change, uncertain) }] : []),
  ];
}

/** Some of a change's keys, and their text as it was recorded. */
function keysAt(
  { keys = [], keysText }: LoggedChange,
  places: readonly number[],
): Pick<LoggedChange, 'keys' | 'keysText'> {
  const texts = keysText === undefined ? undefined : elementsOf(keysText);
  return {
    keys: places.map((place) => keys[place]),
    ...(texts && { keysText: `[${places.map((place) => texts[place]).join(',')}]` }),
  };
}

function withoutOperation({ xid, resource, scope, origin }: LoggedChange, { changes }: OperationGroup): LoggedChange {
  const origins = new Set(changes.map((change) => JSON.stringify(change.origin)));
  return {
    resource,
    ...(scope && { scope }),
    ...(origin && origins.size === 1 && { origin }),
    ...(xid !== undefined && { xid }),
  };
}

function kindOf({ operation }: LoggedChange): string {
  return operation ?? '';
}
