import type { Change } from 'pg-change-feed/client';
import { formatCount } from '../format.js';

/** Names the writer, as far as known: ` von ada`, ` über psql`. */
function writer({ origin }: Change): string {
  if (origin?.actor) return ` von ${origin.actor}`;
  return origin?.application ? ` über ${origin.application}` : '';
}

/** Describes a change of a row, and its writer: `von ada geändert`, `über psql gelöscht`, `neu von ada`. */
export function describeChange(change: Change): string {
  const who = writer(change);
  switch (change.operation) {
    case 'insert':
      return `neu${who}`;
    case 'delete':
    case 'truncate':
      return `${who} gelöscht`.trim();
    default:
      return `${who} geändert`.trim();
  }
}

/** Describes a change of many rows: `500 Zeilen geändert`. @param count undefined where it is not known. */
export function describeBurst(operation: Change['operation'], count: number | undefined): string {
  const what = operation === 'insert' ? 'hinzugefügt' : operation === 'delete' ? 'gelöscht' : 'geändert';
  return count === undefined ? `Viele Zeilen ${what}` : `${formatCount(count, 'Zeile', 'Zeilen')} ${what}`;
}
