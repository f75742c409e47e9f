import type { LoggedChange } from '../change.js';
import type { Measured } from '../feed/log/reading.js';
import type { SentCount } from '../streams/sent-changes.js';
import type { ShownChange, ShownChanges } from './report.js';

/** The largest number of changes sent to a page in a tenth of a second: it draws 60 a second, and scrolls through some thousands. */
const MAX_WAITING = 60;
/** The longest text of keys and scopes. */
const MAX_TEXT = 300;

/** A reading as it was sent to the streams. */
export interface SentReading {
  readonly changes: readonly LoggedChange[];
  readonly measured: Measured | undefined;
  readonly lagsMs: readonly number[];
  /** To how many streams the changes of each resource were sent. */
  readonly sent: ReadonlyMap<string, SentCount> | undefined;
}

/** A change that waits, with the moment of its statement, by performance.now(). */
type Waiting = Omit<ShownChange, 'agoMs'> & { readonly at: number };

/** Collects changes for the pages of the monitor: a bounded number, whatever writers do, and no content of rows. */
export class LiveChanges {
  #waiting: Waiting[] = [];
  #skipped = 0;

  /** Takes a reading. What does not fit is counted. */
  add({ changes, measured, lagsMs, sent }: SentReading): void {
    const room = MAX_WAITING - this.#waiting.length;
    const counts = changes.some(({ xid }) => xid === undefined) ? measured?.countsOf() : undefined;
    for (const [place, change] of changes.slice(0, room).entries()) {
      const { resource, xid } = change;
      const tally = sent?.get(resource);
      const count = xid === undefined ? counts?.get(resource) : undefined;
      this.#waiting.push({
        ...shown(change),
        ...(count !== undefined && count > 1 && { count }),
        at: (measured?.begunAt ?? performance.now()) - (measured?.agesMs[place] ?? 0),
        lagMs: lagsMs[place] ?? 0,
        streams: tally?.streams ?? 0,
        behind: tally?.behind ?? 0,
      });
    }
    this.#skipped += Math.max(changes.length - room, 0);
  }

  /** Takes what waits. Undefined where there is nothing. */
  take(): ShownChanges | undefined {
    if (this.#waiting.length === 0 && this.#skipped === 0) return undefined;
    const now = performance.now();
    const changes = this.#waiting.map(({ at, ...change }) => ({ ...change, agoMs: Math.max(now - at, 0) }));
    const skipped = this.#skipped;
    this.#waiting = [];
    this.#skipped = 0;
    return { changes, skipped };
  }
}

/** Returns what is shown of a change: of an event's data nothing, because the application decides what that is. */
function shown({ resource, operation, keys, keysText, statements, origin, xid }: LoggedChange) {
  const named = keysText ?? (keys && JSON.stringify(keys));
  const scopes = statements?.length === 1 ? statements[0]?.text : undefined;
  return {
    resource,
    ...(operation && { operation }),
    ...(named !== undefined && { keys: cut(named) }),
    ...(scopes !== undefined && { scopes: cut(scopes) }),
    ...origin,
    ...(xid !== undefined && { xid: String(xid) }),
  };
}

/** Cuts a long text off, with … at its end. */
export function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}…`;
}
