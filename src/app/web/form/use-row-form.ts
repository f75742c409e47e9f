import { useQueryClient } from '@tanstack/vue-query';
import { type Resource, sseService } from 'pg-change-feed/client';
import { useLiveQuery } from 'pg-change-feed/vue-query';
import { computed, onScopeDispose, type Ref, reactive, shallowReactive, shallowRef, watch } from 'vue';
import { ApiError } from '../api/request.js';
import { changeFields, changeRow, createRow, fetchRow, type Versioned } from '../api/rows.js';
import { describeChange } from '../live/describe-change.js';
import { useFetchNow } from '../live/fetch-now.js';
import { mergeFields } from './merge.js';
import { useUnsaved } from './unsaved.js';

/** The number of times that a row changed by others is merged and sent again; after that it is sent once by its fields alone. */
const MAX_TRIES = 3;

/** Options of a form for one row. */
export interface RowFormOptions<Row, Fields extends object> {
  /** Its resource in the feed, or a scope that it is in. */
  resource: Resource;
  /** Its list: `/api/veranstaltungen`. */
  path: string;
  /** The row that is edited; none: a new one. */
  id: number | undefined;
  /** The values of a new row. */
  empty: Fields;
  /** The labels of the fields. */
  labels: Readonly<Record<keyof Fields, string>>;
  /** Shows a field's value, where that is not as it is written. */
  texts?: { [Name in keyof Fields]?: (value: Fields[Name]) => string };
  /** The fields of a row. */
  toFields: (row: Row) => Fields;
  /** Makes the body that is sent for the fields. */
  toValues: (fields: Fields) => Partial<Row>;
}

/**
 * A form for one row. What others change meanwhile is merged field by field: a field that was not touched takes it, one
 * that both have changed is left to people. Nothing is ever written over unseen: each change names the version it was
 * made on.
 */
export function useRowForm<Row extends { id: number }, Fields extends object>(options: RowFormOptions<Row, Fields>) {
  const { resource, path, id, empty, labels, texts, toFields, toValues } = options;
  const client = useQueryClient();
  const fetchNow = useFetchNow();
  const rowPath = `${path}/${id}`;
  const fields = reactive({ ...empty }) as Fields;
  /** The fields of the row that the form is made on. */
  const base = shallowRef<Fields>({ ...empty });
  const current = shallowRef<Versioned<Row>>();
  /** The values that others gave to fields that were changed here, too. */
  const conflicts: Map<keyof Fields, Fields[keyof Fields]> = shallowReactive(new Map());
  const changedBy = shallowRef('geändert');
  const saving = shallowRef(false);
  const problem = shallowRef<ApiError | Error>();

  const query = useLiveQuery(resource, {
    queryKey: [path, id],
    queryFn: () => fetchRow<Row>(rowPath),
    enabled: id !== undefined,
  });
  const failure = computed(() => query.error.value ?? query.failureReason.value);
  const gone = computed(() => isStatus(query.error.value, 404));
  const ready = computed(() => id === undefined || current.value !== undefined);
  const dirty = computed(() => {
    const names = Object.keys(empty) as (keyof Fields)[];
    return ready.value && names.some((name) => fields[name] !== base.value[name]);
  });
  useUnsaved(() => dirty.value);

  watch(query.data, (now) => now && take(now), { immediate: true });
  onScopeDispose(
    sseService.on(resource, (change) => {
      if (id !== undefined && !sseService.isOwn(change) && change.keys?.includes(id)) {
        changedBy.value = describeChange(change);
      }
    }),
  );

  /** Takes the row as it is now, and merges what was typed into it. */
  function take(now: Versioned<Row>): void {
    if (now.etag === current.value?.etag) return;
    const theirs = toFields(now.row);
    const merged = mergeFields<Fields>(current.value ? base.value : { ...fields }, fields, theirs);
    Object.assign(fields, merged.fields);
    for (const name of [...conflicts.keys()]) {
      // Not decided yet: the value of now counts.
      if (theirs[name] === fields[name]) conflicts.delete(name);
      else conflicts.set(name, theirs[name]);
    }
    for (const name of merged.conflicts) conflicts.set(name, theirs[name]);
    base.value = theirs;
    current.value = now;
  }

  function changed(): Partial<Row> {
    // By what is sent: a field shows less than the row has, a moment's seconds for one.
    const before = toValues(base.value);
    const values = Object.entries(toValues(fields)).filter(([name, value]) => value !== before[name as keyof Row]);
    return Object.fromEntries(values) as Partial<Row>;
  }

  async function change(before: Versioned<Row>): Promise<Versioned<Row> | undefined> {
    for (let tries = 1, version = before; ; tries += 1) {
      const values = changed();
      if (Object.keys(values).length === 0) return version;
      try {
        if (tries <= MAX_TRIES) return await changeRow<Row>(rowPath, values, version.etag);
        return await changeFields<Row>(rowPath, values, version.row);
      } catch (error) {
        if (!isStatus(error, 412) || tries > MAX_TRIES + 1) throw error;
        version = await fetchRow<Row>(rowPath);
        take(version);
        if (conflicts.size > 0) return undefined;
      }
    }
  }

  /**
   * Saves what was typed.
   * @param how `anew`: as a new row, where the old one is gone.
   * @returns the row; undefined where it was not saved, and the form says why.
   */
  async function save(how: 'anew' | undefined = undefined): Promise<Row | undefined> {
    const before = current.value;
    if (saving.value || !ready.value || conflicts.size > 0 || (gone.value && how !== 'anew')) return undefined;
    saving.value = true;
    problem.value = undefined;
    try {
      const saved = before && how !== 'anew' ? await change(before) : await createRow<Row>(path, toValues(fields));
      if (!saved) return undefined;
      await client.cancelQueries({ queryKey: [path, saved.row.id] }); // begun before, it may bring the row of before
      current.value = saved;
      base.value = { ...fields };
      client.setQueryData([path, saved.row.id], saved);
      return saved.row;
    } catch (error) {
      problem.value = error as Error;
      if (isStatus(error, 404)) void query.refetch();
      return undefined;
    } finally {
      saving.value = false;
    }
  }

  return {
    fields,
    dirty,
    saving,
    gone,
    ready,
    /** The row that the form is made on. */
    current,
    changedBy,
    problem,
    /** Why the row could not be read, while there is nothing to edit. */
    loadProblem: computed(() => (ready.value || !failure.value ? '' : failure.value.message)),
    reload: () => void fetchNow([path, id]),
    /** The fields that both have changed, with their values of now. */
    conflicts: computed(() =>
      Array.from(conflicts, ([name, theirs]) => ({
        name: String(name),
        label: labels[name],
        theirs: texts?.[name]?.(theirs) ?? String(theirs),
      })),
    ),
    /** Decides about a field that both have changed. */
    resolve(name: string, whose: 'mine' | 'theirs'): void {
      const key = name as keyof Fields;
      const theirs = conflicts.get(key);
      if (whose === 'theirs' && theirs !== undefined) fields[key] = theirs;
      conflicts.delete(key);
    },
    save,
  };
}

/** The part of a form that its dialog uses, whatever its fields are. */
export interface RowForm {
  readonly dirty: Ref<boolean>;
  readonly saving: Ref<boolean>;
  readonly gone: Ref<boolean>;
  readonly ready: Ref<boolean>;
  readonly changedBy: Ref<string>;
  readonly problem: Ref<Error | undefined>;
  readonly loadProblem: Ref<string>;
  readonly conflicts: Ref<readonly { name: string; label: string; theirs: string }[]>;
  reload(): void;
  resolve(name: string, whose: 'mine' | 'theirs'): void;
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}
