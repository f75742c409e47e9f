import { now } from '../../client/timing.js';
import { parseTopic } from '../../scope.js';
import type { ShownChange, ShownChanges } from '../report.js';

/** Changes that the page keeps. */
const MAX_KEPT = 5000;

/** A change in the list. */
export interface ListedChange extends ShownChange {
  /** Its number since the page was opened. */
  readonly number: number;
  /** The time of its statement by the clock here, in ms since 1970. */
  readonly at: number;
  /** The values that it changed in its scopes: see {@link scopeValues}. */
  readonly scopeValues: readonly ScopeConditions[];
}

/** One value of a scope, as `column=value` for each of its columns, in lower case. */
type ScopeConditions = readonly string[];

/** Texts that narrow the list; empty ones narrow nothing. */
export interface ChangeFilter {
  readonly resource: string;
  /** `veranstaltung_id=7`, as in a subscription, or any part of the scopes as the log has them. */
  readonly scope: string;
  readonly operation: string;
  readonly actor: string;
}

/** The last changes, the newest last. */
export class ChangeBuffer {
  #changes: ListedChange[] = [];
  #count = 0;
  /** Changes that the server did not send, because there were too many. */
  skipped = 0;

  /** Takes what the server has sent. */
  add({ changes, skipped }: ShownChanges): void {
    const readAt = now();
    for (const change of changes) {
      this.#count += 1;
      this.#changes.push({
        ...change,
        number: this.#count,
        at: readAt - change.agoMs,
        scopeValues: scopeValues(change.scopes ?? ''),
      });
    }
    this.skipped += skipped;
    // Now and then, not with each change.
    if (this.#changes.length > 1.2 * MAX_KEPT) this.#changes = this.#changes.slice(-MAX_KEPT);
  }

  /** Lists those that fit, the newest first. */
  list(filter: ChangeFilter): ListedChange[] {
    const fits = matcherOf(filter);
    const listed: ListedChange[] = [];
    for (let place = this.#changes.length - 1; place >= 0; place -= 1) {
      const change = this.#changes[place];
      if (change && fits(change)) listed.push(change);
    }
    return listed;
  }
}

function matcherOf({ resource, scope, operation, actor }: ChangeFilter): (change: ListedChange) => boolean {
  const has = (text: string | undefined, part: string) => (text ?? '').toLowerCase().includes(part);
  const parts = { resource: resource.toLowerCase(), actor: actor.toLowerCase() };
  const fitsScope = scopeMatcherOf(scope.trim());
  return (change) =>
    (parts.resource === '' || has(change.resource, parts.resource)) &&
    (operation === '' || change.operation === operation) &&
    fitsScope(change) &&
    (parts.actor === '' || has(`${change.actor ?? ''}\n${change.application ?? ''}`, parts.actor));
}

function scopeMatcherOf(wanted: string): (change: ListedChange) => boolean {
  const conditions = conditionsOf(wanted);
  if (conditions)
    return ({ scopeValues }) => scopeValues.some((value) => conditions.every((condition) => value.includes(condition)));
  const part = wanted.toLowerCase().replaceAll(' ', '');
  return ({ scopes = '' }) => part === '' || scopes.toLowerCase().replaceAll(' ', '').includes(part);
}

/** Reads `veranstaltung_id=7&status=neu`, percent-encoded as in a subscription. Undefined where it is something else. */
function conditionsOf(text: string): ScopeConditions | undefined {
  try {
    const { scope } = parseTopic(`any?${text}`);
    return scope && Object.entries(scope).map(([column, value]) => condition(column, value));
  } catch {
    return undefined;
  }
}

/**
 * Reads the values out of the scopes of a change. The text may be cut off: then those behind the cut are not known.
 * @param text JSON as the log has it: `{"haus": {"7": [1, 2]}}`, or without keys `{"haus": ["7", "8"]}`.
 */
function scopeValues(text: string): ScopeConditions[] {
  const found: ScopeConditions[] = [];
  let depth = 0;
  let columns: string[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === '[' || token === '{') depth += 1;
    else if (token === ']' || token === '}') depth -= 1;
    else if (depth === 1) columns = (JSON.parse(token) as string).split('&').map(decodeURIComponent);
    else if (depth === 2) {
      const value = JSON.parse(token) as string;
      // The values of several columns are an array in JSON, in a string.
      const values: string[] = columns.length > 1 ? JSON.parse(value) : [value];
      found.push(columns.map((column, place) => condition(column, values[place] ?? '')));
    }
  }
  return found;
}

function condition(column: string, value: string): string {
  return `${column}=${value}`.toLowerCase();
}
