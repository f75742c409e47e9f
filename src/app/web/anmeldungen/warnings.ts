import { formatCount, formatMoment, formatNumber } from '../format.js';
import type { Veranstaltung } from '../veranstaltungen/veranstaltung.js';
import { type Anmeldung, nameOf, STATUS_TEXTS, type Status, type Zahlen } from './anmeldung.js';

/** A registration as it is about to be. */
interface About {
  readonly veranstaltung: Veranstaltung;
  readonly zahlen: Zahlen | undefined;
  readonly status: Status;
  /** The status that it has now; none: it is new. */
  readonly before: Status | undefined;
  readonly isNew: boolean;
  readonly duplicates: readonly Pick<Anmeldung, 'vorname' | 'nachname' | 'email' | 'status'>[];
}

/** Lists the reasons against saving it. It may be saved all the same. */
export function warningsOf({ veranstaltung, zahlen, status, before, isNew, duplicates }: About): string[] {
  const texts = duplicates.map(
    (each) => `Schon angemeldet: ${nameOf(each)}, ${each.email} (${STATUS_TEXTS[each.status]}).`,
  );
  if (status === 'BESTAETIGT' && before !== 'BESTAETIGT') {
    const text = overbooking(veranstaltung.maxTeilnehmende, (zahlen?.BESTAETIGT ?? 0) + 1);
    if (text) texts.push(text);
  }
  if (isNew && Date.parse(veranstaltung.meldeschluss) < Date.now()) {
    texts.push(`Der Meldeschluss war am ${formatMoment(veranstaltung.meldeschluss)}.`);
  } else if (isNew && Date.parse(veranstaltung.meldebeginn) > Date.now()) {
    texts.push(`Anmeldungen sind erst ab ${formatMoment(veranstaltung.meldebeginn)} vorgesehen.`);
  }
  return texts;
}

/** That more are confirmed than there are places; '' where they are not. */
export function overbooking(places: number, confirmed: number): string {
  return confirmed > places
    ? `Damit sind ${formatNumber(confirmed)} von ${formatCount(places, 'Platz', 'Plätzen')} belegt: überbucht.`
    : '';
}
