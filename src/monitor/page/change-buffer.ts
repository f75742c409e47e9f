import { now } from '../../client/timing.js';
import type { ShownChange, ShownChanges } from '../report.js';

/** Changes that the page keeps. */
const MAX_KEPT = 5000;

/** A change in the list, with its number since the page was opened, and the time of its statement by the clock here. */
export interface ListedChange extends ShownChange {
  readonly number: number;
  readonly at: number;
}

/** Texts that narrow the list; empty ones narrow nothing. */
export interface ChangeFilter {
  readonly resource: string;
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
      this.#changes.push({ ...change, number: this.#count, at: readAt - change.agoMs });
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
  const parts = { resource: resource.toLowerCase(), scope: scopePart(scope), actor: actor.toLowerCase() };
  return (change) =>
    (parts.resource === '' || has(change.resource, parts.resource)) &&
    (operation === '' || change.operation === operation) &&
    (scope === '' || has(change.scopes?.replaceAll(' ', ''), parts.scope)) &&
    (parts.actor === '' || has(`${change.actor ?? ''}\n${change.application ?? ''}`, parts.actor));
}

/** `veranstaltung_id=7` is `"veranstaltung_id":{"7"` in the log; all else is looked for as it is. */
function scopePart(scope: string): string {
  const [, column, value] = /^([^=]+)=(.*)$/.exec(scope.trim()) ?? [];
  return (column === undefined ? scope : `"${column}":{"${value}`).toLowerCase().replaceAll(' ', '');
}
