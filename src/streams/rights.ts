import { formatTopic, parseTopic, type Scope, type Topic } from '../scope.js';
import { MAX_REMEMBERED } from './limits.js';
import { type ScopedTopic, scopedTopic } from './scoped-topic.js';

/**
 * The topics that a caller may receive: `*` for all, a list of resources (`anmeldung`) and scopes
 * (`anmeldung?veranstaltung_id=7`), or a function that decides on each. In a list a right to a scope includes every scope
 * with more conditions: `mandant_id=9` allows `mandant_id=9&projekt_id=7`, and neither `projekt_id=7` nor the whole resource.
 *
 * A subscription to `*` receives all that a list names, scopes too. With a function it receives whole resources only.
 */
export type Rights = '*' | readonly string[] | ((resource: string, scope?: Scope) => boolean);

/**
 * Returns whether these rights allow a resource, or with `scope` a part of it.
 * @throws {TypeError} where a list names something that is no topic.
 */
export function authorizeByRights(rights: Rights, resource: string, scope?: Scope): boolean {
  if (typeof rights === 'function') return rights(resource, scope);
  if (rights === '*' || rights.includes('*') || rights.includes(resource)) return true;
  return (
    scope !== undefined &&
    scopesIn(rights.filter((text) => text.startsWith(`${resource}?`))).some((granted) => includes(scope, granted.scope))
  );
}

/** Lists the scopes that these rights name; of a function, none. @throws {TypeError} for what is no topic. */
export function scopesIn(rights: Rights): Required<Topic>[] {
  if (typeof rights === 'function' || rights === '*') return [];
  return rights
    .filter((text) => text.includes('?'))
    .map(parseTopic)
    .filter((topic): topic is Required<Topic> => topic.scope !== undefined);
}

/** Returns whether a scope has all conditions of a granted one, and maybe more. */
function includes(scope: Scope, granted: Scope): boolean {
  // Own ones only: a column may be called constructor.
  return Object.entries(granted).every(([column, value]) => Object.hasOwn(scope, column) && scope[column] === value);
}

/** The rights of one stream or poll. It remembers each answer, so that a function is asked once for each topic. */
export class StreamRights {
  readonly #rights: Rights;
  readonly #answers = new Map<string, boolean>();
  #grantedScopes: readonly ScopedTopic[] | undefined;

  constructor(rights: Rights) {
    this.#rights = rights;
  }

  /** Returns whether it may receive a resource, or with `scope` a part of it. */
  authorize(resource: string, scope?: Scope): boolean {
    const topic = scope ? formatTopic({ resource, scope }) : resource;
    let answer = this.#answers.get(topic);
    if (answer === undefined) {
      answer = authorizeByRights(this.#rights, resource, scope);
      if (this.#answers.size >= MAX_REMEMBERED) this.#answers.clear();
      this.#answers.set(topic, answer);
    }
    return answer;
  }

  /** The scopes that a subscription to `*` receives. */
  get grantedScopes(): readonly ScopedTopic[] {
    this.#grantedScopes ??= [...new Set(scopesIn(this.#rights).map(formatTopic))].flatMap(
      (text) => scopedTopic(text) ?? [],
    );
    return this.#grantedScopes;
  }
}
