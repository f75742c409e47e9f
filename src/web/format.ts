import type { Change } from '../client/index.js';

const day = new Intl.DateTimeFormat('de-DE', { day: '2-digit', month: '2-digit', year: 'numeric', timeZone: 'UTC' });
const moment = new Intl.DateTimeFormat('de-DE', { dateStyle: 'medium', timeStyle: 'short' });
const money = new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' });

/** `2030-07-01` as `01.07.2030` */
export function formatDay(text: string): string {
  return day.format(new Date(`${text}T00:00:00Z`));
}

/** `01.07.2030`, or `01.07.2030 – 03.07.2030` */
export function formatDays(from: string, to: string): string {
  return from === to ? formatDay(from) : `${formatDay(from)} – ${formatDay(to)}`;
}

/** A moment in the page's time zone. */
export function formatMoment(text: string): string {
  return moment.format(new Date(text));
}

/** Cents as euros; 0 as `frei` */
export function formatMoney(cents: number): string {
  return cents === 0 ? 'frei' : money.format(cents / 100);
}

/** A moment for `<input type="datetime-local">`, in the page's time zone. */
export function toLocalInput(text: string): string {
  const date = new Date(text);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What was done, and by whom as far as known: `geändert über psql`. */
export function describeChange({ operation, origin }: Change): string {
  const what = operation === 'insert' ? 'neu' : operation === 'delete' ? 'gelöscht' : 'geändert';
  const who = origin?.actor ? ` von ${origin.actor}` : '';
  const how = !origin?.actor && origin?.application ? ` über ${origin.application}` : '';
  return `${what}${who}${how}`;
}
