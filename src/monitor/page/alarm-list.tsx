import type { Alarm } from './alarms.js';

/** The alarms, or that there is none. */
export function AlarmList({ alarms }: { alarms: readonly Alarm[] }) {
  return (
    <section class="alarms" aria-label="Meldungen">
      <ul aria-live="polite">
        {alarms.map(({ level, text }) => (
          <li key={withoutNumbers(text)} class={level}>
            <span aria-hidden="true">{level === 'fail' ? '✕' : '!'}</span>
            {text}
          </li>
        ))}
        {alarms.length === 0 && (
          <li class="ok">
            <span aria-hidden="true">✓</span>Keine Meldungen.
          </li>
        )}
      </ul>
    </section>
  );
}

/** The same alarm stays the same element while its span of time grows: a screen reader says it once. */
function withoutNumbers(text: string): string {
  return text.replace(/seit \d+ \S+/, '');
}
