import { columnsText } from '../feed/declared-scopes.js';
import { combinedValue } from '../feed/log/logged-scopes.js';
import { columnsOf, formatTopic, parseTopic, type Scope } from '../scope.js';

/** A scope of a resource, as subscribers name it and as the log does. */
export interface ScopedTopic {
  /** The topic's text: `anmeldung?veranstaltung_id=7`. */
  readonly text: string;
  readonly resource: string;
  readonly scope: Scope;
  /** Its columns as the log names them: percent-encoded, sorted, and joined with `&`. */
  readonly columns: string;
  /** Its value as the log names it; of several columns all their values. */
  readonly value: string;
}

/** Makes a scoped topic of a topic's text; undefined for a whole resource. @throws {TypeError} where it is no topic. */
export function scopedTopic(text: string): ScopedTopic | undefined {
  const { resource, scope } = parseTopic(text);
  if (!scope) return undefined;
  const columns = columnsOf(scope);
  const values = columns.map((column) => scope[column] ?? '');
  return {
    text,
    resource,
    scope,
    columns: columnsText(columns),
    value: values.length === 1 ? (values[0] ?? '') : combinedValue(values),
  };
}

/** Makes a scoped topic of what the log names. */
export function scopedTopicOf(resource: string, columns: string, value: string): ScopedTopic {
  const names = columns.split('&').map(decodeURIComponent);
  const values = names.length === 1 ? [value] : (JSON.parse(value) as string[]);
  const scope = Object.fromEntries(names.map((name, place) => [name, values[place] ?? '']));
  return { text: formatTopic({ resource, scope }), resource, scope, columns, value };
}

/** Lists the resources of topics, each once. */
export function resourcesOf(topics: readonly string[]): string[] {
  return [...new Set(topics.map((topic) => parseTopic(topic).resource))];
}
