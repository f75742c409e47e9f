import type { LoggedChange, ScopedStatement } from '../change.js';
import { ScopeParts } from './scope-parts.js';
import { type ScopedTopic, scopedTopicOf } from './scoped-topic.js';
import type { Subscription } from './subscription.js';

/** The subscriptions to one value: a set only where there are several, because most of ten thousand have one. */
type Subscribers = Subscription | Set<Subscription>;

/** The changes that the subscribers of one scope receive of one read. */
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
  readonly #onFollowed: (followed: boolean) => void;

  /** @param onFollowed called with true when somebody follows a scope, and with false when nobody does any more. */
  constructor(onFollowed: (followed: boolean) => void = () => {}) {
    this.#onFollowed = onFollowed;
  }

  /** True where nobody is subscribed to a scope. */
  get isEmpty(): boolean {
    return this.#resources.size === 0;
  }

  /** Adds a subscription to a scope. */
  add({ resource, columns, value }: ScopedTopic, subscription: Subscription): void {
    if (this.isEmpty) this.#onFollowed(true);
    const ofResource = entryOf(this.#resources, resource, () => new Map<string, Map<string, Subscribers>>());
    const ofColumns = entryOf(ofResource, columns, () => new Map<string, Subscribers>());
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
    if (ofResource?.size !== 0) return;
    this.#resources.delete(resource);
    if (this.isEmpty) this.#onFollowed(false);
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
    const changesOf = new Map<string, LoggedChange[]>();
    for (const change of changes) {
      if (this.#resources.has(change.resource)) entryOf(changesOf, change.resource, () => []).push(change);
    }
    for (const [resource, own] of changesOf) {
      const ofResource = this.#resources.get(resource) ?? [];
      for (const [columns, values] of ofResource) yield* deliveriesOver(resource, columns, values, own);
    }
  }
}

function* deliveriesOver(
  resource: string,
  columns: string,
  values: ReadonlyMap<string, Subscribers>,
  changes: readonly LoggedChange[],
): Iterable<ScopeDelivery> {
  const parts = new Map<string, ScopeParts>();
  const partsOf = (value: string) =>
    entryOf(parts, value, () => new ScopeParts(scopedTopicOf(resource, columns, value)));
  /** The transactions of changes of which it is not known what they changed. */
  const unknown: (bigint | undefined)[] = [];
  const add = (statement: ScopedStatement) => {
    const changed = statement.valuesOf(columns);
    if (!changed) unknown.push(statement.change.xid);
    else for (const value of changed.keys.keys()) if (values.has(value)) partsOf(value).add(statement);
  };
  for (const { statements, xid } of changes) {
    if (statements) for (const statement of statements) add(statement);
    else unknown.push(xid);
  }
  if (unknown.length > 0) {
    // As one: thousands of scopes would each add up hundreds.
    const one = unknown.length === 1 ? unknown[0] : undefined;
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

/** Returns the entry of a key, made where there is none. */
function entryOf<Entry>(entries: Map<string, Entry>, key: string, make: () => Entry): Entry {
  let known = entries.get(key);
  if (known === undefined) {
    known = make();
    entries.set(key, known);
  }
  return known;
}
