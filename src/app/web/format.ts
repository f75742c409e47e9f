const day = new Intl.DateTimeFormat('de-DE', { day: '2-digit', month: '2-digit', year: 'numeric', timeZone: 'UTC' });
const moment = new Intl.DateTimeFormat('de-DE', { dateStyle: 'medium', timeStyle: 'short' });
const time = new Intl.DateTimeFormat('de-DE', { timeStyle: 'short' });
const money = new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' });
const number = new Intl.NumberFormat('de-DE');

/** `2030-07-01` as `01.07.2030`; '' stays. */
export function formatDay(text: string): string {
  return text && day.format(new Date(`${text}T00:00:00Z`));
}

/** `01.07.2030`, or `01.07.2030 – 03.07.2030` */
export function formatDays(from: string, to: string): string {
  return from === to ? formatDay(from) : `${formatDay(from)} – ${formatDay(to)}`;
}

/** `24.12.2026, 14:30 Uhr`, in the page's time zone; '' stays. */
export function formatMoment(text: string): string {
  return text && `${moment.format(new Date(text))} Uhr`;
}

/** `14:30 Uhr`, of ms since 1970. */
export function formatTime(ms: number): string {
  return `${time.format(ms)} Uhr`;
}

/** Cents as euros; 0 as `frei` */
export function formatMoney(cents: number): string {
  return cents === 0 ? 'frei' : money.format(cents / 100);
}

/** `12.345` */
export function formatNumber(value: number): string {
  return number.format(value);
}

/** `1 Anmeldung`, `2 Anmeldungen` */
export function formatCount(count: number, one: string, many: string): string {
  return `${formatNumber(count)} ${count === 1 ? one : many}`;
}

/** A moment for `<input type="datetime-local">`, in the page's time zone. */
export function toLocalInput(text: string): string {
  const date = new Date(text);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
