import type { LoggedChange, ScopedStatement } from '../change.js';

/** A statement that changed rows of a scope, with the change that stands for it. */
export interface StatementOfScope {
  readonly change: LoggedChange;
  readonly statement: ScopedStatement;
  readonly xid: bigint | undefined;
}

/** A change of which it is not known what it changed, so it may be every scope. */
export interface UnknownOfScope {
  readonly change: LoggedChange;
  readonly xid: bigint | undefined;
}

/** The changes of one read for the scopes over some columns of a resource, in the order of the read. */
export interface ChangesOverColumns {
  readonly statements: ReadonlyMap<string, readonly StatementOfScope[]>;
  readonly unknown: readonly UnknownOfScope[];
}

/**
 * Finds the changes of a scope by its value. It is made once for a list of changes, so that each of ten thousand clients that
 * missed thousands of changes costs those of its own scope.
 */
export class ScopedChanges {
  static readonly #known = new WeakMap<readonly LoggedChange[], ScopedChanges>();
  readonly #ofResource = new Map<string, LoggedChange[]>();
  /** By resource and columns. */
  readonly #found = new Map<string, Map<string, ChangesOverColumns>>();

  private constructor(changes: readonly LoggedChange[]) {
    for (const change of changes) {
      const own = this.#ofResource.get(change.resource);
      if (own) own.push(change);
      else this.#ofResource.set(change.resource, [change]);
    }
  }

  /** Returns the index of a list of changes: the same object at each call. */
  static of(changes: readonly LoggedChange[]): ScopedChanges {
    let known = ScopedChanges.#known.get(changes);
    if (!known) {
      known = new ScopedChanges(changes);
      ScopedChanges.#known.set(changes, known);
    }
    return known;
  }

  /** Returns the changes for the scopes over these columns. */
  over(resource: string, columns: string): ChangesOverColumns {
    let ofResource = this.#found.get(resource);
    if (!ofResource) {
      ofResource = new Map();
      this.#found.set(resource, ofResource);
    }
    let found = ofResource.get(columns);
    if (!found) {
      found = find(this.#ofResource.get(resource) ?? [], columns);
      ofResource.set(columns, found);
    }
    return found;
  }
}

function find(changes: readonly LoggedChange[], columns: string): ChangesOverColumns {
  const statements = new Map<string, StatementOfScope[]>();
  const unknown: UnknownOfScope[] = [];
  for (const change of changes) {
    if (!change.statements) unknown.push({ change, xid: change.xid });
    for (const statement of change.statements ?? []) {
      const { xid } = statement.change;
      const values = statement.valuesOf(columns);
      if (!values) unknown.push({ change, xid });
      for (const value of values?.keys.keys() ?? []) {
        const own = statements.get(value);
        if (own) own.push({ change, statement, xid });
        else statements.set(value, [{ change, statement, xid }]);
      }
    }
  }
  return { statements, unknown };
}
