import { type Change, type Resource, sseService } from 'pg-change-feed/client';
import { computed, onScopeDispose, type Ref, reactive, shallowRef } from 'vue';
import { describeBurst, describeChange } from './describe-change.js';
import { announce } from './notices.js';

/** The time that a row stays marked, in ms. */
const MARKED_MS = 6000;
/** The time that a deleted row is still seen, in ms. */
const LEAVING_MS = 3000;
/** Changes within this time are one burst, in ms, and are read out as one. */
const BURST_MS = 1000;
/** The number of rows in one burst from which they are counted, not named. */
const BURST_ROWS = 10;

/** A row of the page that was deleted, and its place. */
interface Leaving<Row> {
  readonly row: Row;
  readonly index: number;
}

/** A row as the table shows it. */
export interface ShownRow<Row> {
  readonly row: Row;
  /** It was deleted, and is about to go. */
  readonly leaving: boolean;
}

/** Texts that go by themselves. */
function useFading<Value>(ms: number) {
  const values = reactive(new Map<unknown, Value>()) as Map<unknown, Value>;
  const timers = new Map<unknown, ReturnType<typeof setTimeout>>();
  onScopeDispose(() => timers.forEach(clearTimeout));
  return {
    values,
    set(key: unknown, value: Value): void {
      clearTimeout(timers.get(key));
      values.set(key, value);
      timers.set(
        key,
        setTimeout(() => values.delete(key), ms),
      );
    },
  };
}

/** Counts the rows of a burst that names none. */
export interface BurstCounter<Before> {
  /** The rows that are shown when the burst begins. */
  readonly before: () => Before;
  /** The number of rows that are others since then; undefined where that can't be said. */
  readonly count: (before: Before, operation: Change['operation']) => Promise<number | undefined>;
}

/**
 * Marks the rows that have just been changed, with their writers: text by key. A deleted row is shown a little longer, with a word; a burst
 * is summed up. A screen reader says the name of the row. The page's own changes are left out, except for deletions.
 * @param nameOf returns the name of a row, for people.
 * @param counter counts the rows of a burst; absent: the text says "many rows".
 */
export function useRowMarks<Row extends { id: number }, Before = unknown>(
  resource: Resource,
  items: Ref<readonly Row[]>,
  nameOf: (row: Row) => string,
  counter?: BurstCounter<Before>,
) {
  const { values: marks, set: mark } = useFading<string>(MARKED_MS);
  const { values: leaving, set: leave } = useFading<Leaving<Row>>(LEAVING_MS);
  const { values: bursts, set: sayBurst } = useFading<string>(MARKED_MS);
  let heard: Change[] = [];
  let before: Before | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  onScopeDispose(() => clearTimeout(timer));

  async function sumUp(): Promise<void> {
    const changes = heard;
    heard = [];
    timer = undefined;
    const rows = changes.map((change) => change.keys?.length);
    const operations = new Set(changes.map((change) => change.operation));
    const operation = operations.size === 1 ? changes[0]?.operation : undefined;
    let count: number | undefined;
    if (!rows.includes(undefined)) count = rows.reduce((sum = 0, each = 0) => sum + each, 0);
    else if (before !== undefined) count = await counter?.count(before, operation).catch(() => undefined);
    if (count === 0) return; // of other events
    if (count !== undefined && count <= BURST_ROWS && !rows.includes(undefined)) {
      announceRows(changes);
      return;
    }
    const text = describeBurst(operation, count);
    sayBurst('burst', text);
    announce(text);
  }

  function announceRows(changes: readonly Change[]): void {
    const texts = changes.flatMap((change) =>
      (change.keys ?? []).flatMap((key) => {
        const row = items.value.find(({ id }) => id === key) ?? leaving.get(key)?.row;
        return row ? [`${nameOf(row)}: ${describeChange(change)}`] : [];
      }),
    );
    if (texts.length > 0) announce(`${[...new Set(texts)].join('. ')}.`);
  }

  const off = sseService.on(resource, (change) => {
    const own = sseService.isOwn(change);
    if (change.operation === 'truncate') leaving.clear();
    for (const key of change.keys ?? []) {
      const index = items.value.findIndex(({ id }) => id === key);
      const row = items.value[index];
      if (change.operation === 'delete' && row) leave(key, { row, index });
      if (!own || change.operation === 'delete') mark(key, describeChange(change));
    }
    if (own || change.reason) return;
    heard.push(change);
    if (timer !== undefined) return;
    before = counter?.before();
    timer = setTimeout(() => void sumUp(), BURST_MS);
  });
  onScopeDispose(off);

  return {
    marks,
    mark,
    /** The text of a burst, for a while: `500 Zeilen geändert`. */
    burst: computed(() => bursts.get('burst')),
    rows: computed<readonly ShownRow<Row>[]>(() => {
      const shown = items.value.map((row) => ({ row, leaving: leaving.has(row.id) }));
      const there = new Set(items.value.map(({ id }) => id));
      for (const { row, index } of leaving.values()) {
        if (!there.has(row.id)) shown.splice(index, 0, { row, leaving: true });
      }
      return shown;
    }),
  };
}

/** The mark of a row that was saved here. It stays as long as that of a change by others. */
export const SAVED_MARK = 'gespeichert';

/** Marks a single row, such as the heading of a page. */
export function useRowMark(resource: string, id: number) {
  const text = shallowRef('');
  let timer: ReturnType<typeof setTimeout> | undefined;
  const off = sseService.on(resource, (change) => {
    if (sseService.isOwn(change) || !change.keys?.includes(id)) return;
    clearTimeout(timer);
    text.value = describeChange(change);
    timer = setTimeout(() => {
      text.value = '';
    }, MARKED_MS);
  });
  onScopeDispose(() => {
    clearTimeout(timer);
    off();
  });
  return text;
}
