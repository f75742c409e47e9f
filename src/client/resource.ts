import { decoded, type Scope, type ScopeValue, type Topic } from '../scope.js';

/** The rows of a resource that have these values in these columns: a scope of the table. */
export interface ScopedResource {
  readonly resource: string;
  /** The values by column: text, whole numbers, booleans. */
  readonly scope: Readonly<Record<string, ScopeValue>>;
}

/**
 * The name of a resource, `*`, or a scope: `{ resource: 'anmeldung', scope: { veranstaltung_id: 7 } }`, or as text
 * `anmeldung?veranstaltung_id=7` with names and values percent-encoded.
 */
export type Resource = string | ScopedResource;

/**
 * Reads a resource as `parseTopic` and `topicOf` of scope.ts do, and leaves it to the server to check names and values.
 * @throws {TypeError} for a condition that is not `column=value` with both percent-encoded.
 */
export function topicFrom(resource: Resource): Topic {
  if (typeof resource !== 'string') {
    const values = Object.entries(resource.scope).map(([column, value]) => [column, String(value)]);
    return { resource: resource.resource, scope: Object.fromEntries(values) as Scope };
  }
  const [name = '', conditions] = resource.split('?');
  if (conditions === undefined) return { resource };
  const pairs = conditions.split('&').map((pair) => pair.split('=').map(decoded));
  if (pairs.some(({ length }) => length !== 2)) throw new TypeError(`${resource}: expected column=value`);
  return { resource: name, scope: Object.fromEntries(pairs) as Scope };
}

/** Makes the change that says: something changed here, refetch it. */
export function refetchOf({ resource, scope }: Topic): Topic {
  return scope ? { resource, scope } : { resource };
}
