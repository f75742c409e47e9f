import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChangeBuffer, ChangeFilter, ListedChange } from './change-buffer.js';
import { ChangeDetails } from './change-details.js';
import { ChangeList } from './change-list.js';
import { numberText } from './format.js';
import { Section } from './section.js';

const OPERATIONS = ['insert', 'update', 'delete', 'truncate', 'emit'];
const NO_FILTER: ChangeFilter = { resource: '', scope: '', operation: '', actor: '' };

/** The feed as it comes, with filters, a pause, and the details of a change. */
export function ChangesSection({ buffer }: { buffer: ChangeBuffer }) {
  const [filter, setFilter] = useState(NO_FILTER);
  const [paused, setPaused] = useState<readonly ListedChange[]>();
  const [chosen, setChosen] = useState<ListedChange>();
  const now = buffer.list(filter);
  const changes = paused ?? now;
  const newer = paused ? now.filter(({ number }) => number > (paused[0]?.number ?? 0)).length : 0;

  const toggle = useRef(() => {});
  toggle.current = () => setPaused(paused ? undefined : now);
  useKey('p', () => toggle.current());

  const change = (name: keyof ChangeFilter) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) => {
    const narrowed = { ...filter, [name]: event.currentTarget.value };
    setFilter(narrowed);
    if (paused) setPaused(buffer.list(narrowed));
  };
  return (
    <Section
      name="changes"
      title="Änderungen"
      beside={
        <button type="button" aria-pressed={paused !== undefined} onClick={() => toggle.current()} title="Taste P">
          {paused ? `Weiter${newer > 0 ? ` (${numberText(newer)} neue)` : ''}` : 'Anhalten'}
        </button>
      }
    >
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <Field label="Ressource" value={filter.resource} onInput={change('resource')} />
        <Field label="Bereich" value={filter.scope} onInput={change('scope')} hint="veranstaltung_id=7" />
        <label>
          Vorgang
          <select value={filter.operation} onChange={change('operation')}>
            <option value="">alle</option>
            {OPERATIONS.map((operation) => (
              <option key={operation}>{operation}</option>
            ))}
          </select>
        </label>
        <Field label="Wer" value={filter.actor} onInput={change('actor')} hint="Person, Programm" />
      </form>
      {buffer.skipped > 0 && (
        <p class="soft skipped">
          {numberText(buffer.skipped)} weitere sind nicht einzeln gezeigt: es waren zu viele auf einmal.
        </p>
      )}
      <ChangeList changes={changes} chosen={chosen} onChoose={setChosen} />
      {chosen && <ChangeDetails change={chosen} onClose={() => setChosen(undefined)} />}
    </Section>
  );
}

function Field(props: {
  label: string;
  value: string;
  hint?: string;
  onInput: (event: { currentTarget: HTMLInputElement }) => void;
}) {
  const { label, value, hint = '', onInput } = props;
  return (
    <label>
      {label}
      <input type="search" value={value} placeholder={hint} onInput={onInput} spellcheck={false} />
    </label>
  );
}

/** Calls a function when a key is pressed, outside of fields. */
function useKey(key: string, pressed: () => void): void {
  const latest = useRef(pressed);
  latest.current = pressed;
  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      const inField = event.target instanceof HTMLElement && event.target.matches('input, select, textarea');
      if (event.key !== key || inField || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      latest.current();
    };
    addEventListener('keydown', listener);
    return () => removeEventListener('keydown', listener);
  }, [key]);
}
