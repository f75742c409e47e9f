import { computed, reactive, shallowRef } from 'vue';
import { type Change, sseService } from '../client/index.js';
import { useSSE } from '../vue/index.js';
import { ApiError, changeRow, createRow, fetchRow, type Versioned } from './api.js';
import { describeChange } from './format.js';

/** What a form for one row needs. */
export interface RowFormOptions<Row, Fields extends object> {
  /** Its resource in the feed. */
  resource: string;
  /** Its list: `/api/veranstaltungen`. */
  path: string;
  /** The row that is edited; none: a new one. */
  id: number | undefined;
  /** What a new row begins with. */
  empty: Fields;
  /** What the fields are called, for people. */
  labels: Readonly<Record<keyof Fields, string>>;
  /** How a field's value reads, where that is not as it is written. */
  texts?: { [Name in keyof Fields]?: (value: Fields[Name]) => string };
  /** The fields of a row. */
  toFields: (row: Row) => Fields;
  /** What is sent for the fields. */
  toValues: (fields: Fields) => Partial<Row>;
  onSaved: () => void;
}

/**
 * A form for one row that says at once when the row changes elsewhere, and never writes over that silently: the change
 * names the version that was read, and the server's 412 leaves the choice.
 */
export function useRowForm<Row, Fields extends object>(options: RowFormOptions<Row, Fields>) {
  const { resource, path, id, empty, labels, texts, toFields, toValues, onSaved } = options;
  const rowPath = `${path}/${id}`;
  const fields = reactive({ ...empty }) as Fields;
  const loading = shallowRef(id !== undefined);
  const saving = shallowRef(false);
  const problem = shallowRef('');
  /** Set when the row is another now: its version, and who made it. */
  const theirs = shallowRef<Versioned<Row> & { by: string }>();
  const gone = shallowRef(false);
  let etag = '';
  /** What was heard while the form could not look. */
  let missed: Change | undefined;
  let before: Partial<Row> = {};

  function take({ row, etag: version }: Versioned<Row>): void {
    Object.assign(fields, toFields(row));
    before = toValues(fields);
    etag = version;
    theirs.value = undefined;
  }

  async function load(): Promise<void> {
    try {
      take(await fetchRow<Row>(rowPath));
    } catch (error) {
      fail(error);
    } finally {
      loading.value = false;
    }
    lookAgain();
  }

  async function look(change: Change): Promise<void> {
    if (loading.value || saving.value) {
      missed = change;
      return;
    }
    try {
      const now = await fetchRow<Row>(rowPath);
      if (gone.value) problem.value = '';
      gone.value = false;
      if (now.etag !== etag) theirs.value = { ...now, by: describeChange(change) };
    } catch (error) {
      fail(error);
    }
  }

  function lookAgain(): void {
    if (missed) void look(missed);
    missed = undefined;
  }

  function fail(error: unknown): void {
    if (error instanceof ApiError && error.status === 404 && id !== undefined) gone.value = true;
    problem.value = (error as Error).message;
  }

  async function fetchTheirs(): Promise<void> {
    try {
      theirs.value = { ...(await fetchRow<Row>(rowPath)), by: theirs.value?.by ?? 'geändert' };
    } catch (error) {
      fail(error);
    }
  }

  /** What was typed: a field shows less than the row has, a moment's seconds for one. */
  function changed(): Partial<Row> {
    const values = Object.entries(toValues(fields)).filter(([name, value]) => value !== before[name as keyof Row]);
    return Object.fromEntries(values) as Partial<Row>;
  }

  async function save(values = id === undefined ? toValues(fields) : changed()): Promise<void> {
    saving.value = true;
    problem.value = '';
    try {
      if (id === undefined) await createRow<Row>(path, values);
      else if (Object.keys(values).length > 0) await changeRow<Row>(rowPath, values, etag);
      onSaved();
      saving.value = false;
    } catch (error) {
      fail(error);
      if (error instanceof ApiError && error.status === 412) await fetchTheirs();
      saving.value = false;
      lookAgain();
    }
  }

  if (id !== undefined) {
    useSSE(resource, (change) => {
      if (sseService.isOwn(change) || (change.keys && !change.keys.includes(id))) return;
      void look(change);
    });
    void load();
  }

  return {
    fields,
    loading,
    saving,
    problem,
    gone,
    theirs,
    changedBy: computed(() => theirs.value?.by),
    /** What stands there now, where that is not what the form has. */
    differences: computed(() => {
      if (!theirs.value) return [];
      const now = toFields(theirs.value.row);
      return (Object.keys(labels) as (keyof Fields)[])
        .filter((name) => now[name] !== fields[name])
        .map((name) => ({ label: labels[name], theirs: texts?.[name]?.(now[name]) ?? String(now[name]) }));
    }),
    save: () => save(),
    /** Gives up what was typed for what stands there now. */
    takeTheirs: () => {
      problem.value = '';
      if (theirs.value) take(theirs.value);
    },
    /** Saves what was typed over what stands there now, having seen that. */
    saveOverTheirs: () => {
      if (theirs.value) etag = theirs.value.etag;
      theirs.value = undefined;
      return save(toValues(fields));
    },
  };
}
