import type { FeedMessage } from './message.js';
import type { Settings } from './options.js';
import type { Registration } from './registration.js';
import type { Registrations } from './registrations.js';
import type { Requests } from './requests.js';

/** The parts of an inbox. */
export interface InboxOptions {
  readonly settings: () => Settings;
  readonly requests: Requests;
  readonly registrations: Registrations;
}

/** Passes to a page's listeners what its own connection or another tab's has received. */
export class Inbox {
  readonly #options: InboxOptions;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** @param signal aborted when what has begun ends: listeners that catch up stay where they were. */
  apply(message: Exclude<FeedMessage, { type: 'state' }>, signal?: AbortSignal): void {
    const { registrations } = this.#options;
    if (message.type === 'change') registrations.change(message.change);
    else if (message.type === 'position') registrations.moveTo(message.position);
    else {
      const late =
        message.type === 'cover'
          ? registrations.cover(message.topic)
          : registrations.begin(message.topics, message.from, message.resumed, message.anew);
      if (late.length > 0 && signal) void this.#catchUp(late, signal);
    }
  }

  async #catchUp(late: readonly Registration[], signal: AbortSignal): Promise<void> {
    const { settings, registrations } = this.#options;
    signal.addEventListener('abort', () => registrations.giveUp(late));
    try {
      const { catchUp } = await import('./catch-up.js');
      catchUp(this.#options, late, signal);
    } catch (error) {
      // The code is missing, for example after a deployment: nothing can be fetched.
      settings().logger.debug('SSE: what was missed cannot be fetched', error);
      for (const registration of late) registration.resync();
    }
  }
}
