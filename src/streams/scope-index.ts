import type { LoggedChange, ScopedStatement } from '../change.js';
import { ScopeParts } from './scope-parts.js';
import { type ScopedTopic, scopedTopicOf } from './scoped-topic.js';
import type { Subscription } from './subscription.js';

/** The subscriptions to one value: a set only where there are several, because most of ten thousand have one. */
type Subscribers = Subscription | Set<Subscription>;

/** What the subscribers of one scope receive of one read. */
export interface ScopeDelivery {
  readonly topic: ScopedTopic;
  readonly changes: readonly LoggedChange[];
  readonly subscriptions: readonly Subscription[];
  /** True where subscribers of every scope over these columns receive that something changed. */
  readonly everyone: boolean;
}

/** Finds the subscriptions to the scopes of a change by its values, so that a change costs its own scope's readers alone. */
export class ScopeIndex {
  /** By resource, columns, and value. */
  readonly #resources = new Map<string, Map<string, Map<string, Subscribers>>>();

  /** True where nobody is subscribed to a scope. */
  get isEmpty(): boolean {
    return this.#resources.size === 0;
  }

  /** Adds a subscription to a scope. */
  add({ resource, columns, value }: ScopedTopic, subscription: Subscription): void {
    const ofResource = entryOf(this.#resources, resource);
    const ofColumns = entryOf(ofResource, columns);
    const known = ofColumns.get(value);
    if (!known) ofColumns.set(value, subscription);
    else if (known instanceof Set) known.add(subscription);
    else if (known !== subscription) ofColumns.set(value, new Set([known, subscription]));
  }

  /** Removes a subscription from a scope. */
  delete({ resource, columns, value }: ScopedTopic, subscription: Subscription): void {
    const ofResource = this.#resources.get(resource);
    const ofColumns = ofResource?.get(columns);
    const known = ofColumns?.get(value);
    if (known instanceof Set) {
      known.delete(subscription);
      if (known.size > 0) return;
    } else if (known !== subscription) return;
    ofColumns?.delete(value);
    if (ofColumns?.size === 0) ofResource?.delete(columns);
    if (ofResource?.size === 0) this.#resources.delete(resource);
  }

  /** Lists the columns over which somebody is subscribed to scopes of a resource. */
  columnsOf(resource: string): string[] {
    return [...(this.#resources.get(resource)?.keys() ?? [])];
  }

  /** Lists the scopes over these columns of a resource that have subscribers, with them. */
  *scopesOver(resource: string, columns: string): Iterable<[ScopedTopic, Subscription[]]> {
    for (const [value, subscribers] of this.#resources.get(resource)?.get(columns) ?? []) {
      yield [scopedTopicOf(resource, columns, value), [...each(subscribers)]];
    }
  }

  /** The number of subscriptions to scopes of each resource that has any. */
  *counts(): Iterable<readonly [resource: string, subscriptions: number]> {
    for (const [resource, ofResource] of this.#resources) {
      let count = 0;
      for (const values of ofResource.values()) for (const subscribers of values.values()) count += sizeOf(subscribers);
      yield [resource, count];
    }
  }

  /** Lists what the subscribers of scopes receive of the changes of one read. */
  *deliveriesOf(changes: readonly LoggedChange[]): Iterable<ScopeDelivery> {
    const places = new Map<string, number[]>();
    for (const [place, { resource }] of changes.entries()) {
      if (!this.#resources.has(resource)) continue;
      const own = places.get(resource);
      if (own) own.push(place);
      else places.set(resource, [place]);
    }
    for (const [resource, own] of places) {
      const ofResource = this.#resources.get(resource) ?? [];
      for (const [columns, values] of ofResource) {
        yield* deliveriesOver(resource, columns, values, changes, own);
      }
    }
  }
}

function* deliveriesOver(
  resource: string,
  columns: string,
  values: ReadonlyMap<string, Subscribers>,
  changes: readonly LoggedChange[],
  places: readonly number[],
): Iterable<ScopeDelivery> {
  const parts = new Map<string, ScopeParts>();
  const partsOf = (value: string) => {
    let known = parts.get(value);
    if (!known) {
      known = new ScopeParts(scopedTopicOf(resource, columns, value));
      parts.set(value, known);
    }
    return known;
  };
  const unknown: Pick<LoggedChange, 'xid' | 'place'>[] = [];
  const add = (statement: ScopedStatement, place: number) => {
    const changed = statement.valuesOf(columns);
    if (!changed) unknown.push({ ...statement.change, place });
    else for (const value of changed.keys.keys()) if (values.has(value)) partsOf(value).add(statement, place);
  };
  for (const place of places) {
    const { statements, xid } = changes[place] ?? {};
    if (statements) for (const statement of statements) add(statement, place);
    else unknown.push({ ...(xid !== undefined && { xid }), place });
  }
  const last = unknown.at(-1);
  if (last?.place !== undefined) {
    // As one: thousands of scopes would each add up hundreds.
    const one = unknown.length === 1 ? last : { place: last.place };
    for (const value of values.keys()) partsOf(value).addUnknown(one);
  }
  for (const [value, collected] of parts) {
    const subscribers = values.get(value);
    if (!subscribers) continue;
    const { topic } = collected;
    yield { topic, changes: collected.changes(), subscriptions: [...each(subscribers)], everyone: unknown.length > 0 };
  }
}

function each(subscribers: Subscribers): Iterable<Subscription> {
  return subscribers instanceof Set ? subscribers : [subscribers];
}

function sizeOf(subscribers: Subscribers): number {
  return subscribers instanceof Set ? subscribers.size : 1;
}

/** Returns the map at a key, made where there is none. */
function entryOf<Value>(maps: Map<string, Map<string, Value>>, key: string): Map<string, Value> {
  let known = maps.get(key);
  if (!known) {
    known = new Map();
    maps.set(key, known);
  }
  return known;
}
