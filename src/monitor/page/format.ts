const whole = new Intl.NumberFormat('de-DE', { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat('de-DE', { maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat('de-DE', { style: 'percent', maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat('de-DE', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Writes a number: `12.345`. */
export function numberText(value: number): string {
  return Math.abs(value) < 100 ? fine.format(value) : whole.format(value);
}

/** Writes a share: `12,5 %`. */
export function percentText(share: number): string {
  return percent.format(share);
}

/** Writes milliseconds, as seconds from ten on: `3,2 ms`, `12 s`. */
export function msText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  return ms < 10_000 ? `${numberText(ms)} ms` : durationText(ms);
}

/** Writes a span of time by its largest unit: `12 s`, `5 min`, `3 h`, `2 Tage`. */
export function durationText(ms: number): string {
  const seconds = Math.max(ms / 1000, 0);
  if (seconds < 90) return `${whole.format(seconds)} s`;
  if (seconds < 90 * 60) return `${whole.format(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${whole.format(seconds / 3600)} h`;
  return `${whole.format(seconds / 86_400)} Tage`;
}

/** Writes a size: `12 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit += 1) value /= 1000;
  return `${numberText(value)} ${units[unit]}`;
}

/** Writes a time of day: `12:03:04`. */
export function clockText(at: number): string {
  return clock.format(at);
}

/** Writes the milliseconds of a time behind it: `,123`. */
export function fractionText(at: number): string {
  return `,${String(Math.floor(at % 1000)).padStart(3, '0')}`;
}

/** Writes a number with its noun: `1 Stream`, `2 Streams`. */
export function countText(count: number, one: string, many: string): string {
  return `${numberText(count)} ${count === 1 ? one : many}`;
}
