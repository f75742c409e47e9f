import { useState } from 'preact/hooks';
import type { TestReport } from '../report.js';
import { post, sentenceOf } from './api.js';
import { countText, msText } from './format.js';
import { ScrollingTable, Section } from './section.js';

/** The resource of a test event, unless another is chosen: nobody is subscribed to it. */
const RESOURCE = 'monitor_test';

/** A box that makes a test event, and says when it passed each stage. */
export function TestSection() {
  const [resource, setResource] = useState(RESOURCE);
  const [report, setReport] = useState<TestReport>();
  const [problem, setProblem] = useState('');
  const [isRunning, setRunning] = useState(false);
  const run = async () => {
    if (isRunning) return;
    setRunning(true);
    setProblem('');
    try {
      setReport(await post<TestReport>('test', { resource }));
    } catch (error) {
      setReport(undefined);
      setProblem(sentenceOf(error));
    }
    setRunning(false);
  };
  return (
    <Section name="test" title="Testereignis">
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          void run();
        }}
      >
        <label>
          Ressource
          <input
            value={resource}
            onInput={(event) => setResource(event.currentTarget.value)}
            required
            maxLength={200}
          />
        </label>
        <button type="submit" class="primary" aria-disabled={isRunning}>
          {isRunning ? 'Unterwegs …' : 'Senden'}
        </button>
      </form>
      {resource !== RESOURCE && <p class="soft">Alle Abonnenten von {resource} laden neu.</p>}
      {problem && (
        <p class="fail" role="alert">
          {problem}
        </p>
      )}
      <div role="status">{report && <Stages report={report} />}</div>
    </Section>
  );
}

function Stages({ report: { writtenMs, committedMs, servers, missing, xid } }: { report: TestReport }) {
  return (
    <>
      <p>
        Transaktion {xid}: geschrieben in {msText(writtenMs)}, Commit in {msText(committedMs)}.
      </p>
      <ScrollingTable label="Der Weg des Testereignisses, in ms seit der Anweisung">
        <thead>
          <tr>
            <th scope="col">Server</th>
            <th scope="col" class="number">
              benachrichtigt
            </th>
            <th scope="col" class="number">
              gelesen
            </th>
            <th scope="col" class="number">
              an Sockets übergeben
            </th>
          </tr>
        </thead>
        <tbody>
          {servers.map(({ server, notifiedMs, readMs, handedMs, streams, behind }) => (
            <tr key={server}>
              <th scope="row">
                <code>{server}</code>
              </th>
              <td class="number">{notifiedMs === null ? 'las von selbst' : msText(notifiedMs)}</td>
              <td class="number">{msText(readMs)}</td>
              <td class="number">
                {msText(handedMs)}, {countText(streams, 'Stream', 'Streams')}
                {behind > 0 && <span class="warn"> ({behind} langsam)</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </ScrollingTable>
      {missing.length > 0 && (
        <p class="fail" role="alert">
          Nach zwei Sekunden nicht gelesen: {missing.join(', ')}
        </p>
      )}
    </>
  );
}
