import { styleText } from 'node:util';
import type { LoggedChange } from '../change.js';
import { writePosition } from '../feed/log/epochs.js';
import type { Position } from '../feed/log/position.js';
import type { Reading } from '../feed/log/reading.js';
import { jsonObject } from '../json-text.js';

/** A line of `tail`, and the resource that it is about. */
export interface TailLine {
  readonly resource: string;
  readonly text: string;
}

/** For programs: the change with `at`, and the position that has been reached once the line is read. */
export function jsonLines(reading: Reading, before: Position): TailLine[] {
  return reading.changes.map((change, i) => {
    // Of one reading only the last has the new position: who stops amid it starts again before it.
    const position = writePosition(i === reading.changes.length - 1 ? reading.position : before);
    return {
      resource: change.resource,
      text: jsonObject(
        { at: madeAt(reading, i)?.toISOString(), ...shown(change), position },
        { keys: change.keysText, data: change.dataText },
      ),
    };
  });
}

const COLOURS = { insert: 'green', update: 'yellow', delete: 'red', truncate: 'red', emit: 'magenta' } as const;

/** For people: time, resource, operation, keys, and who it was. */
export function textLines(reading: Reading): TailLine[] {
  return reading.changes.map((change, i) => ({
    resource: change.resource,
    text: [
      paint('dim', timeOf(madeAt(reading, i))),
      paint('bold', change.resource),
      change.operation ? paint(COLOURS[change.operation], change.operation) : change.keys ? 'changed' : 'many changes',
      ...(change.keys ? [change.keys.map(keyText).join(' ')] : []),
      ...(change.data === undefined ? [] : [dataOf(change)]),
      paint('dim', origin(change)),
    ]
      .filter((part) => part !== '')
      .join('  '),
  }));
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

function shown({ resource, operation, keys, data, origin }: LoggedChange) {
  return { resource, operation, keys, data, origin };
}

/** As it was recorded, but for control characters: none reaches the terminal. */
function dataOf({ data, dataText = JSON.stringify(data) }: LoggedChange): string {
  return dataText.replace(/\p{Cc}/gu, '?');
}

/** Keys, like who wrote, come from anyone: no control character of theirs reaches the terminal. */
function keyText(key: unknown): string {
  return typeof key === 'string' && /^[\p{L}\p{N}_@.:/-]+$/u.test(key) ? key : JSON.stringify(key);
}

/** When the statement ran, by the clock here. */
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
