import pg from 'pg';
import { columnsOf, type Scope } from '../scope.js';
import { valueFault } from './scope-values.js';

/** A scope that a table was given with `change_feed.watch()`. */
export interface DeclaredScope {
  /** Its columns, sorted by the bytes of their names. */
  readonly columns: readonly string[];
  /** The base type of each, such as `int4`; `enum` of every enum. */
  readonly types: readonly string[];
}

/** A table in the feed. */
export interface WatchedTable {
  /** Its name with the schema, quoted where it has to be. */
  readonly relation: string;
  readonly resource: string;
  /** False where events of it name no keys. */
  readonly keys: boolean;
  /** The scopes whose columns it has. */
  readonly scopes: readonly DeclaredScope[];
}

/** Names the columns of a scope as the log does. */
export function columnsText(columns: readonly string[]): string {
  return columns.map(encodeURIComponent).join('&');
}

/**
 * Checks a scope by what a table declares.
 * @returns the sentence that tells what is wrong, with what to do; undefined where nothing is.
 */
export function scopeFault(table: WatchedTable, scope: Scope): string | undefined {
  const columns = columnsOf(scope);
  const declared = declaredScope(table, columns);
  if (!declared)
    return `${table.resource} has no scope ${columnsText(columns)}. To give it one: ${watchLine(table, columns)}`;
  for (const [place, column] of columns.entries()) {
    const fault = valueFault(declared.types[place] ?? '', scope[column] ?? '');
    if (fault !== undefined) return `scope: ${column}: ${fault}`;
  }
  return undefined;
}

/** Returns whether a table declares a scope of these columns. */
export function isDeclared(table: WatchedTable, scope: Scope): boolean {
  return declaredScope(table, columnsOf(scope)) !== undefined;
}

function declaredScope({ scopes }: WatchedTable, columns: readonly string[]): DeclaredScope | undefined {
  const text = columnsText(columns);
  return scopes.find((scope) => columnsText(scope.columns) === text);
}

/** Makes the call that adds a scope to a table and keeps all else as it is. */
function watchLine({ relation, resource, keys, scopes }: WatchedTable, columns: readonly string[]): string {
  const all = [...scopes.map((scope) => scope.columns), columns].map(columnsText);
  // Without quotes a column of this name would be no element's text.
  const elements = all.map((text) => (/^null$/i.test(text) ? `"${text}"` : text));
  const parameters = [
    pg.escapeLiteral(relation),
    ...(relation.split('.').at(-1) === resource ? [] : [`resource => ${pg.escapeLiteral(resource)}`]),
    ...(keys ? [] : ['keys => false']),
    `scopes => ${pg.escapeLiteral(`{${elements.join(', ')}}`)}`,
  ];
  return `select change_feed.watch(${parameters.join(', ')})`;
}
