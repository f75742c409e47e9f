import { useEffect, useState } from 'preact/hooks';
import type { ServerRow, StreamList, StreamRow } from '../report.js';
import { get, post, sentenceOf } from './api.js';
import { ConfirmDialog } from './confirm-dialog.js';
import { durationText, numberText } from './format.js';
import { ScrollingTable, Section } from './section.js';

/** The time between two looks at the list, in ms. */
const LOOK_MS = 1000;

/** One stream that is about to be ended, or all of a subject. */
interface Ending {
  readonly subject: string;
  readonly client?: string;
}

/** The streams of all servers, with a search, and the end of one or of a subject. */
export function StreamsSection({ servers, isLive }: { servers: readonly ServerRow[]; isLive: boolean }) {
  const [search, setSearch] = useState('');
  const [list, setList] = useState<StreamList>({ streams: [], total: 0 });
  const [ending, setEnding] = useState<Ending>();
  const [said, setSaid] = useState('');

  useEffect(() => {
    if (!isLive) return;
    let isCurrent = true;
    let asking = false;
    const look = async () => {
      if (asking || document.visibilityState === 'hidden') return;
      asking = true;
      try {
        const found = await get<StreamList>(`streams?search=${encodeURIComponent(search)}`);
        if (isCurrent) setList(found);
      } catch {
        // The connection says what is wrong.
      }
      asking = false;
    };
    void look();
    const timer = setInterval(look, LOOK_MS);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [search, isLive]);

  const end = async (what: Ending) => {
    setEnding(undefined);
    try {
      const { ended } = await post<{ ended: boolean }>('end', what);
      setSaid(ended ? 'Beendet.' : 'Diesen Stream gibt es nicht mehr.');
    } catch (error) {
      setSaid(sentenceOf(error));
    }
  };
  const { streams, total } = list;
  const all = servers.reduce((sum, { state }) => sum + (state?.streams ?? 0), 0);
  return (
    <Section
      name="streams"
      title="Streams"
      beside={
        <label class="search">
          <span class="hidden">Streams suchen</span>
          <input
            type="search"
            placeholder="Subjekt, Ressource, Bereich"
            value={search}
            maxLength={200}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </label>
      }
    >
      <p class="soft">
        {search === '' ? `${numberText(all)} offen` : `${numberText(total)} gefunden`}
        {streams.length < total && `, ${numberText(streams.length)} davon gezeigt`}
      </p>
      <p class="soft" role="status">
        {said}
      </p>
      <ScrollingTable label="Streams">
        <thead>
          <tr>
            <th scope="col">Subjekt</th>
            <th scope="col">Ressourcen und Bereiche</th>
            <th scope="col" class="number">
              offen seit
            </th>
            <th scope="col">Rückstand</th>
            <th scope="col">Position</th>
            <th scope="col">Server</th>
            <th scope="col">
              <span class="hidden">Beenden</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {streams.map((stream) => (
            <StreamLine key={stream.client} stream={stream} onEnd={setEnding} />
          ))}
        </tbody>
      </ScrollingTable>
      {ending && (
        <ConfirmDialog
          title={ending.client ? 'Diesen Stream beenden?' : `Alle Streams von ${ending.subject} beenden?`}
          text="Die Seite erfährt, dass ihr Recht endet, und verbindet sich nicht von selbst wieder. Ist das Recht nicht entzogen, kommt sie beim nächsten Laden zurück."
          action="Beenden"
          onConfirm={() => void end(ending)}
          onCancel={() => setEnding(undefined)}
        />
      )}
    </Section>
  );
}

function StreamLine({ stream, onEnd }: { stream: StreamRow; onEnd: (what: Ending) => void }) {
  const { client, subject, topics, openedAgoMs, full, behind, position, server } = stream;
  return (
    <tr data-client={client} class={full ? 'slow' : ''}>
      <th scope="row" title={client}>
        {subject}
      </th>
      <td class="topics">{topics || '–'}</td>
      <td class="number">{durationText(openedAgoMs)}</td>
      <td>{full ? <span class="badge warn">liest zu langsam, {numberText(behind)} ausstehend</span> : 'keiner'}</td>
      <td>
        <code title={position}>{position.length > 24 ? `${position.slice(0, 24)}…` : position}</code>
      </td>
      <td>
        <code>{server}</code>
      </td>
      <td class="actions">
        <button type="button" aria-label={`Stream von ${subject} beenden`} onClick={() => onEnd({ client, subject })}>
          Beenden
        </button>
        <button type="button" aria-label={`Alle Streams von ${subject} beenden`} onClick={() => onEnd({ subject })}>
          Alle
        </button>
      </td>
    </tr>
  );
}
