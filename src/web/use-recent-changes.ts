import { onScopeDispose, reactive } from 'vue';
import { type Change, sseService } from '../client/index.js';
import { describeChange } from './format.js';

/** How long a row stays marked, in ms. */
const MARKED_MS = 6000;

/** Which rows have just been changed elsewhere, and by whom: text by key. Own changes are not among them. */
export function useRecentChanges(resource: string): ReadonlyMap<unknown, string> {
  const marks = reactive(new Map<unknown, string>());
  const timers = new Map<unknown, ReturnType<typeof setTimeout>>();
  const onChange = (change: Change) => {
    if (sseService.isOwn(change)) return;
    for (const key of change.keys ?? []) {
      clearTimeout(timers.get(key));
      marks.set(key, describeChange(change));
      const unmark = () => {
        marks.delete(key);
        timers.delete(key);
      };
      timers.set(key, setTimeout(unmark, MARKED_MS));
    }
  };
  const off = sseService.on(resource, onChange);
  onScopeDispose(() => {
    off();
    for (const timer of timers.values()) clearTimeout(timer);
  });
  return marks;
}
