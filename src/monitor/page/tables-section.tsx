import { useEffect, useState } from 'preact/hooks';
import type { TablesReport } from '../report.js';
import { get, sentenceOf } from './api.js';
import { durationText } from './format.js';
import { Scrolling, ScrollingTable, Section } from './section.js';

const LEVELS = { ok: 'gut', info: 'Hinweis', warn: 'Warnung', fail: 'Fehler' } as const;
const ORDER = ['fail', 'warn', 'info', 'ok'];

/** The watched tables, what the doctor finds, and the statement that cures each. */
export function TablesSection() {
  const [report, setReport] = useState<TablesReport>();
  const [problem, setProblem] = useState('');
  const [isAsking, setAsking] = useState(false);
  const look = async (path: string) => {
    setAsking(true);
    try {
      setReport(await get<TablesReport>(path));
      setProblem('');
    } catch (error) {
      setProblem(sentenceOf(error));
    }
    setAsking(false);
  };
  useEffect(() => void look('tables'), []);

  const findings = [...(report?.findings ?? [])].sort(
    (one, other) => ORDER.indexOf(one.level) - ORDER.indexOf(other.level),
  );
  return (
    <Section
      name="tables"
      title="Tabellen"
      beside={
        <button type="button" onClick={() => !isAsking && void look('tables?anew=1')} aria-disabled={isAsking}>
          {isAsking ? 'Prüft …' : 'Neu prüfen'}
        </button>
      }
    >
      {problem && (
        <p class="fail" role="alert">
          {problem}
        </p>
      )}
      <ScrollingTable label="Überwachte Tabellen">
        <thead>
          <tr>
            <th scope="col">Tabelle</th>
            <th scope="col">Ressource</th>
            <th scope="col">Schlüssel</th>
            <th scope="col">Bereiche</th>
            <th scope="col" class="number">
              letzte Änderung
            </th>
          </tr>
        </thead>
        <tbody>
          {(report?.tables ?? []).map(({ relation, resource, keys, scopes, changedAgoMs }) => (
            <tr key={relation}>
              <th scope="row">{relation}</th>
              <td>{resource}</td>
              <td>{keys ? 'ja' : 'nein'}</td>
              <td>{scopes.join(', ') || '–'}</td>
              <td class="number">{changedAgoMs === null ? '–' : `vor ${durationText(changedAgoMs)}`}</td>
            </tr>
          ))}
        </tbody>
      </ScrollingTable>
      <Scrolling label="Befunde">
        <ul class="findings">
          {findings.map(({ level, about, says, cure }) => (
            <li key={`${about}: ${says}`}>
              <span class={`badge ${level}`}>{LEVELS[level]}</span>
              <span lang="en">
                {about}: {says}
              </span>
              {cure !== undefined && <Cure text={cure} />}
            </li>
          ))}
        </ul>
      </Scrolling>
    </Section>
  );
}

/** A statement or command, and a button that copies it. */
function Cure({ text }: { text: string }) {
  const [said, setSaid] = useState('Kopieren');
  const copy = async () => {
    setSaid((await copied(text)) ? 'Kopiert' : 'Bitte selbst kopieren');
    setTimeout(() => setSaid('Kopieren'), 2000);
  };
  return (
    <span class="cure">
      <code lang="en">{text}</code>
      <button type="button" onClick={() => void copy()} aria-label={`${said}: ${text}`}>
        {said}
      </button>
    </span>
  );
}

/** Copies a text. @returns false where the browser does not allow it. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP to another host there is no clipboard, but there is this.
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand('copy');
    field.remove();
    return done;
  }
}
