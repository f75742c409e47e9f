import { type LoggedChange, refetchOf } from '../change.js';
import { elementsOf } from '../json-text.js';
import { formatTopic } from '../scope.js';
import { MAX_EVENTS, MAX_KEYS, MERGE_FROM } from './limits.js';

/**
 * Merges the changes of one read, so that many changes at once cost each client a bounded number of events. Where a
 * topic changed more than ten times, neighbours with the same operation and origin become one change with all their
 * keys. Each row's changes keep their order. A topic that still has too many becomes one change that says to refetch.
 */
export function mergeChanges(changes: readonly LoggedChange[]): readonly LoggedChange[] {
  if (changes.length <= MERGE_FROM) return changes;
  const merged = mergeNeighbours(changes, oftenChanged(changes, MERGE_FROM));
  const tooMany = oftenChanged(merged, MAX_EVENTS);
  if (tooMany.size === 0) return merged;
  return [
    ...Array.from(tooMany, (topic) => refetchOf(topic)),
    ...merged.filter((change) => !tooMany.has(formatTopic(change))),
  ];
}

function oftenChanged(changes: readonly LoggedChange[], times: number): Set<string> {
  const counts = new Map<string, number>();
  for (const topic of changes.map(formatTopic)) counts.set(topic, (counts.get(topic) ?? 0) + 1);
  return new Set([...counts].filter(([, count]) => count > times).map(([topic]) => topic));
}

/** Neighbouring changes of a topic that become one. */
interface Run {
  readonly first: LoggedChange;
  /** The operation and origin that its changes have in common. */
  readonly kind: string;
  /** The keys by their JSON, each once. */
  readonly keys: Map<string, unknown>;
  changes: number;
}

function mergeNeighbours(changes: readonly LoggedChange[], topics: ReadonlySet<string>): LoggedChange[] {
  const runs: Run[] = [];
  const last = new Map<string, Run>();
  for (const change of changes) {
    const { operation, origin } = change;
    const topic = formatTopic(change);
    const mergeable = topics.has(topic) && change.keys !== undefined && change.data === undefined;
    const kind = mergeable ? `${operation} ${JSON.stringify(origin)}` : '';
    const keys = mergeable ? keysByText(change) : new Map<string, unknown>();
    const run = last.get(topic);
    if (mergeable && run?.kind === kind && run.keys.size + keys.size <= MAX_KEYS) {
      for (const [text, key] of keys) run.keys.set(text, key);
      run.changes += 1;
    } else {
      const next = { first: change, kind, keys, changes: 1 };
      runs.push(next);
      last.set(topic, next);
    }
  }
  return runs.map(({ first, keys, changes }) => (changes === 1 ? first : merged(first, keys)));
}

/** Makes one change of a run. It has no transaction id, because several may have made it. */
function merged({ resource, scope, operation, origin, keysText }: LoggedChange, keys: Run['keys']): LoggedChange {
  return {
    resource,
    ...(scope && { scope }),
    ...(operation && { operation }),
    keys: [...keys.values()],
    ...(keysText !== undefined && { keysText: `[${[...keys.keys()].join(',')}]` }),
    ...(origin && { origin }),
  };
}

/** Maps the keys of a change by their JSON, each once. */
function keysByText({ keys = [], keysText }: LoggedChange): Map<string, unknown> {
  const texts = keysText === undefined ? keys.map((key) => JSON.stringify(key)) : elementsOf(keysText);
  return new Map(texts.map((text, place) => [text, keys[place]]));
}
