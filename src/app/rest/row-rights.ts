import type { Context } from 'koa';
import { HttpError } from 'pg-change-feed';

/** Decides on a request: the token's right to a resource, or with `scope` to a part of it. */
export type AuthorizeRequest = (ctx: Context, resource: string, scope?: Readonly<Record<string, string>>) => boolean;

/** A column by which a token may be allowed a part of a table, and the field that has its value. */
export interface ScopeColumn {
  readonly column: string;
  readonly field: string;
}

/** The rights of requests to the rows of one table, by the same rule as in the feed. */
export class RowRights {
  readonly #authorize: AuthorizeRequest;
  readonly #resource: string;
  readonly #scope: ScopeColumn | undefined;

  /** @param scope absent: a token may read and write the whole table, or nothing. */
  constructor(authorize: AuthorizeRequest, resource: string, scope?: ScopeColumn) {
    this.#authorize = authorize;
    this.#resource = resource;
    this.#scope = scope;
  }

  /** Lets a request in that may have a right to some rows. @throws {HttpError} forbidden. */
  requireSome(ctx: Context): void {
    if (!this.#scope) this.requireAll(ctx, {});
  }

  /** Requires a right to all rows that have these values. @throws {HttpError} forbidden. */
  requireAll(ctx: Context, values: object): void {
    if (this.allows(ctx, values)) return;
    throw new HttpError('forbidden', `The token does not allow the resource ${this.#resource}`);
  }

  /** Returns whether a request may read and write the rows that have these values. */
  allows(ctx: Context, values: object): boolean {
    if (this.#authorize(ctx, this.#resource)) return true;
    const value = this.#scope && (values as Readonly<Record<string, unknown>>)[this.#scope.field];
    if (!this.#scope || value === undefined) return false;
    return this.#authorize(ctx, this.#resource, { [this.#scope.column]: String(value) });
  }
}
