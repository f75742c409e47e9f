import type { ChangedValues, LoggedChange, ScopedStatement } from '../../change.js';
import { elementsOf, membersOf } from '../../json-text.js';

/** A statement that changed no row of a scope. */
const NO_VALUES: ChangedValues = { keys: new Map(), several: false };

/**
 * Makes a statement of the scopes in the log, which is parsed when somebody asks for it: most changes are of no interest
 * to a scope's subscribers.
 * @param text JSON: `{"veranstaltung_id":{"7":[1,2],"8":[3]}}`, or the values alone: `{"veranstaltung_id":["7","8"]}`.
 */
export function statementOf(change: LoggedChange, text: string): ScopedStatement {
  let parsed: ReadonlyMap<string, ChangedValues> | undefined;
  const valuesOf = (columns: string) => {
    parsed ??= parse(text);
    return parsed.get(columns) ?? (change.operation === 'emit' ? NO_VALUES : undefined);
  };
  return { change, valuesOf, size: text.length, text };
}

/** Makes a statement that is one of those that changed a value, where others were left out of the read. */
export function statementOfValue(
  change: LoggedChange,
  { columns, value, keys, several }: { columns: string; value: string; keys: string | undefined; several: boolean },
): ScopedStatement {
  const values: ChangedValues = { keys: new Map([[valueText(columns, value), keys]]), several };
  return {
    change,
    valuesOf: (asked) => (asked === columns ? values : NO_VALUES),
    size: value.length + (keys?.length ?? 0),
  };
}

/** Makes a statement that changed no value of these scopes. @param columns of which it is known; undefined: of all. */
export function statementOfNothing(change: LoggedChange, columns?: readonly string[]): ScopedStatement {
  return { change, valuesOf: (asked) => (columns?.includes(asked) === false ? undefined : NO_VALUES), size: 0 };
}

/** Makes a statement of which it is not known what it changed. */
export function statementOfAnything(change: LoggedChange): ScopedStatement {
  return { change, valuesOf: () => undefined, size: 0 };
}

/** Makes the text of several columns' values, as {@link ChangedValues} has it. */
export function combinedValue(values: readonly string[]): string {
  return JSON.stringify(values);
}

function parse(text: string): ReadonlyMap<string, ChangedValues> {
  return new Map(
    membersOf(text).map(([columns, values]) => {
      const pairs: [string, string | undefined][] = values.startsWith('{')
        ? membersOf(values)
        : elementsOf(values).map((value) => [JSON.parse(value) as string, undefined]);
      const keys = new Map(pairs.map(([value, named]) => [valueText(columns, value), named]));
      return [columns, { keys, several: keys.size > 1 }];
    }),
  );
}

/** Postgres puts a space behind a comma, and the values of several columns are an array. */
function valueText(columns: string, value: string): string {
  return columns.includes('&') ? combinedValue(JSON.parse(value) as string[]) : value;
}
