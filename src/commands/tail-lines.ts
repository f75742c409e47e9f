import { styleText } from 'node:util';
import type { LoggedChange } from '../change.js';
import { writePosition } from '../feed/log/epochs.js';
import type { Position } from '../feed/log/position.js';
import type { Reading } from '../feed/log/reading.js';
import { jsonObject } from '../json-text.js';
import { formatTopic } from '../scope.js';
import type { FollowedTopics } from '../streams/followed-topics.js';

/** A change that `tail` shows, with the time of its statement by the clock here, as far as it is known. */
export interface TailedChange {
  readonly change: LoggedChange;
  readonly at: Date | undefined;
}

/** Lists the changes of a reading that are of these topics. */
export function tailedChanges(reading: Reading, followed: FollowedTopics): TailedChange[] {
  return reading.changes.flatMap((each, place) => {
    const at = madeAt(reading, place);
    return followed.changesOf([each]).map((change) => ({ change, at }));
  });
}

/** Writes changes for programs, each with `at` and the position that is reached once the line is read. */
export function jsonLines(tailed: readonly TailedChange[], before: Position, after: Position): string[] {
  return tailed.map(({ change, at }, place) => {
    // Of one reading only the last has the new position: who stops amid it starts again before it.
    const position = writePosition(place === tailed.length - 1 ? after : before);
    return jsonObject(
      { at: at?.toISOString(), ...shown(change), position },
      { keys: change.keysText, data: change.dataText },
    );
  });
}

const COLOURS = { insert: 'green', update: 'yellow', delete: 'red', truncate: 'red', emit: 'magenta' } as const;

/** Writes changes for people: time, resource or scope, operation, keys, and the writer. */
export function textLines(tailed: readonly TailedChange[]): string[] {
  return tailed.map(({ change, at }) =>
    [
      paint('dim', timeOf(at)),
      paint('bold', formatTopic(change)),
      change.operation ? paint(COLOURS[change.operation], change.operation) : change.keys ? 'changed' : 'many changes',
      ...(change.keys ? [change.keys.map(keyText).join(' ')] : []),
      ...(change.data === undefined ? [] : [dataOf(change)]),
      paint('dim', origin(change)),
    ]
      .filter((part) => part !== '')
      .join('  '),
  );
}

/** styleText takes NO_COLOR, FORCE_COLOR and whether this is a terminal into account with `stream`. */
function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return text && styleText(style, text, { stream: process.stdout, validateStream: true });
}

function origin({ origin = {} }: LoggedChange): string {
  const { application, actor } = origin;
  const parts = [application && `via ${application}`, actor && `by ${actor}`].filter(Boolean);
  return parts.join(' ').replace(/\p{Cc}/gu, '?');
}

function shown({ resource, scope, operation, keys, data, origin }: LoggedChange) {
  return { resource, scope, operation, keys, data, origin };
}

/** Returns a text as it was recorded, without control characters: none reaches the terminal. */
function dataOf({ data, dataText = JSON.stringify(data) }: LoggedChange): string {
  return dataText.replace(/\p{Cc}/gu, '?');
}

/** Keys, like who wrote, come from anyone: no control character of theirs reaches the terminal. */
function keyText(key: unknown): string {
  return typeof key === 'string' && /^[\p{L}\p{N}_@.:/-]+$/u.test(key) ? key : JSON.stringify(key);
}

/** Returns the time of the statement, by the clock here. */
function madeAt({ measured }: Reading, i: number): Date | undefined {
  const age = measured?.agesMs[i];
  return measured && age !== undefined
    ? new Date(Date.now() - (performance.now() - measured.begunAt) - age)
    : undefined;
}

function timeOf(date: Date | undefined): string {
  if (!date) return '';
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(11, 23);
}
