import type { LoggedChange } from '../change.js';
import { elementsOf } from '../json-text.js';
import { MAX_EVENTS, MAX_KEYS, MERGE_FROM } from './limits.js';
import { refetchOf } from './refetch.js';

/**
 * What one read is told as, so that a burst costs the same for each client however long it is. Of a resource that changed
 * more than ten times, changes that follow each other with the same operation and origin become one with all their keys:
 * each row's changes keep their order. What is still more than a client is told becomes one that says no more than that
 * the resource changed.
 */
export function mergeChanges(changes: readonly LoggedChange[]): readonly LoggedChange[] {
  if (changes.length <= MERGE_FROM) return changes;
  const merged = mergeNeighbours(changes, oftenChanged(changes, MERGE_FROM));
  const tooMany = oftenChanged(merged, MAX_EVENTS);
  if (tooMany.size === 0) return merged;
  return [
    ...Array.from(tooMany, (resource) => refetchOf(resource)),
    ...merged.filter(({ resource }) => !tooMany.has(resource)),
  ];
}

function oftenChanged(changes: readonly LoggedChange[], times: number): Set<string> {
  const counts = new Map<string, number>();
  for (const { resource } of changes) counts.set(resource, (counts.get(resource) ?? 0) + 1);
  return new Set([...counts].filter(([, count]) => count > times).map(([resource]) => resource));
}

/** Changes of a resource that are told as one. */
interface Run {
  readonly first: LoggedChange;
  /** What its changes have in common. */
  readonly kind: string;
  /** By their JSON: each once. */
  readonly keys: Map<string, unknown>;
  changes: number;
}

function mergeNeighbours(changes: readonly LoggedChange[], resources: ReadonlySet<string>): LoggedChange[] {
  const runs: Run[] = [];
  const last = new Map<string, Run>();
  for (const change of changes) {
    const { resource, operation, origin } = change;
    const mergeable = resources.has(resource) && change.keys !== undefined && change.data === undefined;
    const kind = mergeable ? `${operation} ${JSON.stringify(origin)}` : '';
    const keys = mergeable ? keysByText(change) : new Map<string, unknown>();
    const run = last.get(resource);
    if (mergeable && run?.kind === kind && run.keys.size + keys.size <= MAX_KEYS) {
      for (const [text, key] of keys) run.keys.set(text, key);
      run.changes += 1;
    } else {
      const next = { first: change, kind, keys, changes: 1 };
      runs.push(next);
      last.set(resource, next);
    }
  }
  return runs.map(({ first, keys, changes }) => (changes === 1 ? first : merged(first, keys)));
}

/** Without a transaction: it stands for several. */
function merged({ resource, operation, origin, keysText }: LoggedChange, keys: Run['keys']): LoggedChange {
  return {
    resource,
    ...(operation && { operation }),
    keys: [...keys.values()],
    ...(keysText !== undefined && { keysText: `[${[...keys.keys()].join(',')}]` }),
    ...(origin && { origin }),
  };
}

/** The keys of a change, each once, by their JSON. */
function keysByText({ keys = [], keysText }: LoggedChange): Map<string, unknown> {
  const texts = keysText === undefined ? keys.map((key) => JSON.stringify(key)) : elementsOf(keysText);
  return new Map(texts.map((text, place) => [text, keys[place]]));
}
