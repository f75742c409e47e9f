/**
 * The largest number of events that a client receives of one read or one replay; more become one per resource. A page
 * refetches anyway after so many.
 */
export const MAX_EVENTS = 100;

/** The longest text of one batch of events, in UTF-16 units; one event alone may be longer. 64 kB is as much as one event's data. */
export const MAX_TEXT = 65_536;

/** The number of changes of one resource in one read from which neighbours are merged: fewer cost little one by one. */
export const MERGE_FROM = 10;

/** The largest number of keys in a merged event: as many as an event of one statement names. */
export const MAX_KEYS = 100;

/** The largest number of live changes that wait for a replay; of more, a stream keeps only the names of their resources. */
export const MAX_WAITING = 1000;

/** The number of bytes waiting in a client's socket from which it is full: a slow reader costs no more than this. */
export const MAX_BUFFERED = 65_536;

/** The same in writes: each costs the process memory, although clients share its bytes. */
export const MAX_WRITES = 64;

/** The largest number of answers of `authorize` that a stream remembers: a client may ask for names without end. */
export const MAX_REMEMBERED = 1000;
