import type { LogReport } from '../report.js';
import { QUEUE_FROM, QUEUE_STOPS, ROWS_FROM } from './alarms.js';
import { bytesText, durationText, numberText, percentText } from './format.js';
import { Section } from './section.js';

/** The log's size, age and horizon, and the NOTIFY queue. */
export function LogSection({ log }: { log: LogReport | null }) {
  return (
    <Section name="log" title="Protokoll und NOTIFY">
      {log ? (
        <dl class="facts">
          <Fact name="Änderungen" value={`${numberText(log.rows)} von ${numberText(log.maxRows)}`} />
          <Meter label="Anteil der erlaubten Änderungen" share={log.rows / log.maxRows} from={ROWS_FROM} />
          <Fact name="Größe" value={bytesText(log.bytes)} />
          <Fact
            name="Älteste Änderung"
            value={`vor ${durationText(1000 * log.ageS)}, aufbewahrt ${durationText(1000 * log.retentionS)}`}
          />
          <Fact
            name="Horizont"
            value={log.horizonAgeS === null ? 'noch nichts gekürzt' : `vor ${durationText(1000 * log.horizonAgeS)}`}
          />
          <Fact name="NOTIFY-Warteschlange" value={percentText(log.queueUsage)} />
          <Meter label="Füllung der NOTIFY-Warteschlange" share={log.queueUsage} from={QUEUE_FROM} />
        </dl>
      ) : (
        <p class="soft">Die Datenbank hat noch nicht geantwortet.</p>
      )}
    </Section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

/** @param from the share from which it is an alarm. */
function Meter({ label, share, from }: { label: string; share: number; from: number }) {
  return (
    <dd class="meter">
      <meter
        aria-label={label}
        min={0}
        max={1}
        low={from}
        high={Math.max(QUEUE_STOPS, from)}
        optimum={0}
        value={share}
      />
    </dd>
  );
}
