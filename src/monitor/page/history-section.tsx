import { useMemo } from 'preact/hooks';
import { msText, numberText } from './format.js';
import type { HistoryModel } from './history-model.js';
import { Plot } from './plot.js';
import { Section } from './section.js';

/** The plots of the last hour. @param version counts the news of the history. */
export function HistorySection({ history, version }: { history: HistoryModel; version: number }) {
  // The history changes in place, and says so by its version.
  const [changes, delays] = useMemo(() => [history.changesASecond(), history.delays()], [history, version]);
  return (
    <Section name="history" title="Letzte Stunde">
      <Plot label="Änderungen je Sekunde" data={changes} text={numberText} />
      <Plot label="Verzögerung vom Commit bis zum Socket, in ms" data={delays} text={msText} isLogarithmic />
    </Section>
  );
}
