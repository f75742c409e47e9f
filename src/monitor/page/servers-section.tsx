import type { ServerRow, ServerState } from '../report.js';
import { durationText, msText, numberText } from './format.js';
import { ScrollingTable, Section } from './section.js';

const ANSWERS = {
  ok: 'antwortet',
  silent: 'antwortet nicht',
  gone: 'weg',
  off: 'ohne Monitor',
  waiting: 'wird gefragt',
  unknown: 'unbekannt',
} as const;

/** The servers: which leads, whether each answers, reads and receives notifications, and its delay. */
export function ServersSection({ servers }: { servers: readonly ServerRow[] }) {
  return (
    <Section name="servers" title="Server">
      <ScrollingTable label="Server">
        <thead>
          <tr>
            <th scope="col">Server</th>
            <th scope="col">Zustand</th>
            <th scope="col" class="number">
              Streams
            </th>
            <th scope="col" class="number">
              Verzögerung: Hälfte / 99 %
            </th>
            <th scope="col" class="number">
              gelesen vor
            </th>
            <th scope="col" class="number">
              läuft seit
            </th>
            <th scope="col">Version</th>
          </tr>
        </thead>
        <tbody>
          {servers.map((server) => (
            <ServerLine key={server.id} server={server} />
          ))}
        </tbody>
      </ScrollingTable>
    </Section>
  );
}

function ServerLine({ server }: { server: ServerRow }) {
  const { id, place, self, answer, state } = server;
  return (
    <tr data-server={id} data-answer={answer}>
      <th scope="row">
        <code>{id}</code>
        <span class="soft">
          {place}
          {self && ' · dieser'}
        </span>
      </th>
      <td>
        <span class={`badge ${levelOf(server)}`}>{stateText(answer, state)}</span>
        {state?.leading && answer === 'ok' && <span class="badge lead">führt{state.idle ? ', ruht' : ''}</span>}
      </td>
      <td class="number">
        {state ? numberText(state.streams) : '–'}
        {state && state.behind > 0 && <span class="warn"> ({numberText(state.behind)} langsam)</span>}
      </td>
      <td class="number" title="die Hälfte / höchstens, in der letzten Minute">
        {state?.lagMs ? `${msText(state.lagMs.half)} / ${msText(state.lagMs.most)}` : '–'}
      </td>
      <td class="number">{state ? msText(state.readAgoMs) : '–'}</td>
      <td class="number">{state ? durationText(state.startedAgoMs) : '–'}</td>
      <td>{state?.version ?? '–'}</td>
    </tr>
  );
}

function stateText(answer: ServerRow['answer'], state: ServerState | null): string {
  if (answer !== 'ok' || !state) return ANSWERS[answer];
  if (state.readAgoMs === null) return 'liest nicht';
  if (!state.listening) return 'taub';
  return ANSWERS.ok;
}

function levelOf({ answer, state }: ServerRow): string {
  if (answer === 'silent' || answer === 'gone') return 'fail';
  if (answer !== 'ok' || !state) return 'info';
  if (state.readAgoMs === null) return 'fail';
  return state.listening ? 'ok' : 'warn';
}
