import type { ListedChange } from './change-buffer.js';
import { clockText, fractionText, msText, numberText } from './format.js';

/** All that the log says of a change. */
export function ChangeDetails({ change, onClose }: { change: ListedChange; onClose: () => void }) {
  const { at, resource, operation, keys, scopes, count, actor, application, client, xid, lagMs, streams, behind } =
    change;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['Zeit', `${clockText(at)}${fractionText(at)}`],
    ['Ressource', resource],
    ['Vorgang', operation ?? 'geändert: wie, ist nicht bekannt'],
    ['Steht für', count === undefined ? undefined : `${numberText(count)} Änderungen`],
    ['Schlüssel', keys],
    ['Bereiche', scopes],
    ['Person', actor],
    ['Programm', application],
    ['Client', client],
    ['Transaktion', xid],
    ['Verzögerung', `${msText(lagMs)} vom Commit bis zum letzten Socket, höchstens`],
    ['Streams', `${numberText(streams)}${behind > 0 ? `, davon ${numberText(behind)} zu langsam` : ''}`],
  ];
  return (
    <section
      class="details"
      aria-label="Einzelheiten der Änderung"
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <dl class="facts">
        {facts.map(
          ([name, value]) =>
            value !== undefined && (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ),
        )}
      </dl>
      <button type="button" onClick={onClose}>
        Schließen
      </button>
    </section>
  );
}
