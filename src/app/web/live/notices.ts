import { shallowReactive, shallowRef } from 'vue';

/** The time that a message that all went well stays, in ms. */
const DONE_MS = 8000;
/** The largest number of messages: the oldest is removed. */
const MAX_NOTICES = 3;

/** A message about something that was done. */
export interface Notice {
  readonly kind: 'done' | 'problem';
  readonly text: string;
  /** The subject: a newer one of the same replaces it. */
  readonly about: string;
  readonly action?: { readonly label: string; readonly run: () => void } | undefined;
}

/** The messages that are shown, oldest first. */
export const notices: Notice[] = shallowReactive([]);

/** The text that a screen reader says next. */
export const announcement = shallowRef('');

/** Shows a message. A problem stays until it is over or closed. @returns a function that removes it. */
export function notify(kind: Notice['kind'], text: string, about: string, action?: Notice['action']): () => void {
  settle(about);
  const notice: Notice = { kind, text, about, action };
  notices.push(notice);
  if (notices.length > MAX_NOTICES) notices.shift();
  const remove = () => {
    const index = notices.indexOf(notice);
    if (index >= 0) notices.splice(index, 1);
  };
  if (kind === 'done') setTimeout(remove, DONE_MS);
  return remove;
}

/** Removes the message about something: its cause is over. */
export function settle(about: string): void {
  const index = notices.findIndex((notice) => notice.about === about);
  if (index >= 0) notices.splice(index, 1);
}

/** Has a screen reader say something that others see. */
export function announce(text: string): void {
  // The same text twice would be no change, and not be read.
  announcement.value = announcement.value === text ? `${text}\u00A0` : text;
}
