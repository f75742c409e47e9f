import type { MonitorState, ServerRow } from '../report.js';
import type { ConnectionState } from './connection.js';
import { countText, durationText, percentText } from './format.js';

/** Something that an operator should know now. */
export interface Alarm {
  readonly level: 'fail' | 'warn';
  readonly text: string;
}

/** The share of the NOTIFY queue, and of the log's rows, from which they are an alarm: as in ops/alerts.yml. */
export const QUEUE_FROM = 0.1;
export const QUEUE_STOPS = 0.5;
export const ROWS_FROM = 0.9;
/** The log may reach back for so much longer than it is kept, in s. */
const LATE_PRUNING_S = 3600;
/** The time for which the page says that changes were lost, in ms. */
const LOST_MS = 60_000;

/** The observations in which alarms are found. */
export interface Observed {
  readonly connection: ConnectionState;
  readonly state: MonitorState | undefined;
  /** The time at which changes were lost last, in ms since 1970. */
  readonly lostAt: number | undefined;
  readonly now: number;
}

/** Lists the alarms, the worst first. */
export function alarmsOf({ connection, state, lostAt, now }: Observed): Alarm[] {
  const alarms: Alarm[] = [...connectionAlarms(connection, now)];
  if (!state) return alarms;
  for (const server of state.servers) alarms.push(...serverAlarms(server));
  const known = state.servers.flatMap(({ answer, state: own }) => (answer === 'ok' && own ? [own] : []));
  if (known.length > 0 && !known.some(({ leading, polling }) => leading || polling))
    alarms.push(warn('Kein Server führt: niemand benachrichtigt, und Änderungen warten auf das regelmäßige Lesen.'));
  if (lostAt !== undefined && now - lostAt < LOST_MS)
    alarms.push(warn('Änderungen waren nicht mehr lesbar: alle Clients wurden angewiesen, neu zu laden.'));
  if (state.log) alarms.push(...logAlarms(state.log));
  return alarms.sort((one, other) => +(other.level === 'fail') - +(one.level === 'fail'));
}

/** Names a server for people. */
function serverName({ id, place }: Pick<ServerRow, 'id' | 'place'>): string {
  return place ? `${id} (${place})` : id;
}

function connectionAlarms({ status, since, refusal }: ConnectionState, now: number): Alarm[] {
  const ago = durationText(now - since);
  if (status === 'broken') return [fail(`Keine Verbindung zum Server seit ${ago}. Was hier steht, ist alt.`)];
  if (status === 'silent') return [fail(`Der Server schweigt seit ${ago}. Was hier steht, ist alt.`)];
  if (status === 'refused') return [fail(`Der Server lehnt ab: ${refusal}`)];
  return [];
}

function serverAlarms(server: ServerRow): Alarm[] {
  const { answer, answeredAgoMs, state } = server;
  const name = serverName(server);
  if (answer === 'silent') {
    const since = answeredAgoMs === null ? '' : ` seit ${durationText(answeredAgoMs)}`;
    return [fail(`Server ${name} antwortet nicht${since}.`)];
  }
  if (answer === 'gone') return [fail(`Server ${name} ist weg, ohne sich abzumelden.`)];
  if (answer === 'off') return [warn(`Server ${name} läuft ohne Monitor.`)];
  if (!state || (answer !== 'ok' && !server.self)) return [];
  const alarms: Alarm[] = [];
  if (state.readAgoMs === null)
    alarms.push(fail(`Server ${name} kann das Protokoll nicht lesen: seine Clients erfahren nichts.`));
  if (!state.listening)
    alarms.push(warn(`Server ${name} ist taub: er empfängt keine Benachrichtigungen, und liest nur regelmäßig.`));
  if (state.behind > 0) {
    const reads = state.behind === 1 ? 'liest' : 'lesen';
    alarms.push(warn(`${countText(state.behind, 'Stream', 'Streams')} an Server ${name} ${reads} zu langsam.`));
  }
  return alarms;
}

function logAlarms({ queueUsage, rows, maxRows, ageS, retentionS }: NonNullable<MonitorState['log']>): Alarm[] {
  const alarms: Alarm[] = [];
  const queue = `Die NOTIFY-Warteschlange ist zu ${percentText(queueUsage)} voll`;
  if (queueUsage >= QUEUE_STOPS) alarms.push(fail(`${queue}: Schreibende benachrichtigen nicht mehr.`));
  else if (queueUsage >= QUEUE_FROM) alarms.push(warn(`${queue}: eine Sitzung hört zu und holt nichts ab.`));
  if (rows > ROWS_FROM * maxRows) alarms.push(warn('Das Protokoll enthält fast so viele Änderungen, wie es darf.'));
  if (ageS > retentionS + LATE_PRUNING_S) alarms.push(warn('Das Protokoll wird nicht gekürzt.'));
  return alarms;
}

const fail = (text: string): Alarm => ({ level: 'fail', text });
const warn = (text: string): Alarm => ({ level: 'warn', text });
