import { reactive } from 'vue';
import { ApiError } from '../api/request.js';
import { changeFields, changeRow, fetchRow } from '../api/rows.js';
import { notify, settle } from '../live/notices.js';
import { ANMELDUNGEN, type Anmeldung, type AnmeldungInList, nameOf, STATUS_TEXTS, type Status } from './anmeldung.js';

/** A row that others have changed is looked at and sent again as often; by its status alone after that. */
const MAX_TRIES = 3;

/** A choice that somebody made in a row. */
export interface StatusChoice {
  readonly row: AnmeldungInList;
  /** The row's value when the choice was offered. */
  readonly from: Status;
  readonly to: Status;
}

/** A row whose status was saved. */
export type SavedStatus = Pick<AnmeldungInList, 'id' | 'etag' | 'status'>;

/**
 * Saves statuses that are chosen in the list. A choice is shown at once and stays; what is chosen while a row is being saved
 * is saved after it. Where somebody else has set the status meanwhile nothing is saved, and a message tells why.
 * @param put shows in the list what was saved. @returns a further sentence about it, such as a warning of overbooking.
 */
export function useStatusChanges(put: (row: SavedStatus) => Promise<string>) {
  /** The choices that are not in the list yet, by row. */
  const pending = reactive(new Map<number, Status>());
  const running = new Set<number>();

  function refuse(choice: StatusChoice, now: Status): void {
    const { row, to } = choice;
    notify(
      'problem',
      `${nameOf(row)}: Der Status ist inzwischen „${STATUS_TEXTS[now]}“. Die Wahl „${STATUS_TEXTS[to]}“ wurde nicht gespeichert.`,
      `status ${row.id}`,
      {
        label: `Trotzdem „${STATUS_TEXTS[to]}“`,
        run: () => void choose({ row: { ...row, status: now }, from: now, to }),
      },
    );
  }

  async function choose(choice: StatusChoice): Promise<void> {
    const { row, from, to } = choice;
    const { id } = row;
    settle(`status ${id}`);
    if (running.has(id)) {
      pending.set(id, to);
      return;
    }
    if (row.status !== from) {
      refuse(choice, row.status);
      return;
    }
    pending.set(id, to);
    running.add(id);
    try {
      const saved = await save(choice);
      if (saved) notify('done', `${nameOf(row)}: ${saved}`, 'status');
    } catch (error) {
      pending.delete(id);
      const again = { label: 'Noch einmal', run: () => void choose(choice) };
      const { message } = error as Error;
      notify(
        'problem',
        `${nameOf(row)}: Der Status wurde nicht gespeichert. ${message}`,
        `status ${id}`,
        gone(error) ? undefined : again,
      );
    } finally {
      running.delete(id);
      pending.delete(id);
    }
  }

  /** Saves what is chosen last. @returns what is to be said of it; undefined where somebody else has set another status. */
  async function save(choice: StatusChoice): Promise<string | undefined> {
    const { row } = choice;
    const path = `${ANMELDUNGEN}/${row.id}`;
    let { etag, status } = row;
    for (let tries = 0; ; ) {
      const wanted = pending.get(row.id);
      if (wanted === undefined) return undefined;
      if (wanted === status) {
        const hint = await put({ id: row.id, etag, status });
        if (pending.get(row.id) === status) return `${STATUS_TEXTS[status]}, gespeichert. ${hint}`.trim();
        continue; // another choice has come meanwhile
      }
      try {
        const saved =
          tries < MAX_TRIES
            ? await changeRow<Anmeldung>(path, { status: wanted }, etag)
            : await changeFields<Anmeldung>(path, { status: wanted }, { ...row, status });
        ({ etag } = saved);
        status = saved.row.status;
      } catch (error) {
        tries += 1;
        if (!(error instanceof ApiError) || error.status !== 412 || tries > MAX_TRIES) throw error;
        const now = await fetchRow<Anmeldung>(path);
        if (now.row.status !== status && now.row.status !== wanted) {
          pending.delete(row.id);
          refuse({ ...choice, to: wanted }, now.row.status);
          return undefined;
        }
        // Something else of the row was changed.
        ({ etag } = now);
        status = now.row.status;
      }
    }
  }

  return { pending, choose };
}

function gone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
