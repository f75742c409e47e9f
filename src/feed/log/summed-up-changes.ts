import type { LoggedChange, ScopedStatement } from '../../change.js';
import { type ChangeRow, changeOf } from './change-rows.js';
import { statementOfAnything, statementOfNothing, statementOfValue } from './logged-scopes.js';
import type { AgedChange } from './uncertain-order.js';

/** Makes one change of each resource of a batch that was summed up, with what its scopes' subscribers receive. */
export function summedUpChanges(rows: readonly ChangeRow[]): AgedChange[] {
  const resources = new Map<string, ChangeRow[]>();
  for (const row of rows) {
    if (row.resource === null) continue;
    const known = resources.get(row.resource);
    if (known) known.push(row);
    else resources.set(row.resource, [row]);
  }
  return Array.from(resources, ([resource, own]) => {
    const change: LoggedChange = { resource };
    const statements = own.map((row) => statementOfRow(row, change));
    const ageMs = Math.max(...own.map(({ age_ms }) => age_ms ?? 0));
    const isKnown = own.some(({ known, columns }) => columns != null || known != null);
    return { change: isKnown ? { ...change, statements } : change, ageMs, command: 0, rang: false };
  });
}

function statementOfRow(row: ChangeRow, summary: LoggedChange): ScopedStatement {
  const { columns, value, keys, several, known } = row;
  if (columns != null) {
    const [told] = changeOf({ ...row, scopes: null });
    return statementOfValue(told?.change ?? summary, {
      columns,
      value: value ?? '',
      keys: keys ?? undefined,
      several: several === true,
    });
  }
  if (known == null) return statementOfAnything(summary);
  const scopes = JSON.parse(known) as '*' | string[];
  return statementOfNothing(summary, scopes === '*' ? undefined : scopes);
}
