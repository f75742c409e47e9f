import type { LoggedChange } from '../../change.js';
import { formatSnapshot, hasSeen, type Position } from '../log/position.js';
import type { Reading } from '../log/reading.js';

/** The number of answers that are kept. */
const MAX_ANSWERS = 100;

/**
 * Keeps the answers that many clients share: of a crowd that comes back many are at the same place. Those who share an answer
 * also share what is made of its changes.
 */
export class SharedAnswers {
  readonly #answers = new Map<string, Reading>();
  /** The feed's position that they are for. */
  #now: Position | undefined;

  /**
   * Returns what committed after `since`, up to `now`: a known answer, or else the one that `find` finds.
   * @param resources of the question; undefined: all.
   */
  get<Found extends Reading | undefined>(
    since: Position,
    now: Position,
    resources: readonly string[] | undefined,
    find: () => Found,
  ): Reading | Found {
    if (this.#now !== now) this.forget();
    this.#now = now;
    // As JSON: no list of names reads like another, or like none.
    const question = JSON.stringify([since.epoch, formatSnapshot(since), resources ?? null]);
    const known = this.#answers.get(question);
    if (known) return known;
    const found = find();
    if (found && this.#answers.size < MAX_ANSWERS) this.#answers.set(question, found);
    return found;
  }

  /** Forgets them: what they were found in has changed. */
  forget(): void {
    this.#answers.clear();
  }
}

/**
 * Returns the changes that a reader at `since` has not seen. What was summed up nobody can tell apart: it stays.
 * @param resources only these; undefined: all.
 */
export function missedOf(
  changes: readonly LoggedChange[],
  since: Position,
  resources: readonly string[] | undefined,
): readonly LoggedChange[] {
  return changes.filter(
    ({ xid, resource }) =>
      (xid === undefined || !hasSeen(since, xid)) && (resources === undefined || resources.includes(resource)),
  );
}
