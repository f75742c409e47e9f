import type { ChangeLog } from './log/change-log.js';
import type { Resources } from './resources.js';

/** The scopes of tables, for subscriptions to them. */
export class FeedScopes {
  readonly #log: ChangeLog;
  readonly #resources: Resources;

  constructor(log: ChangeLog, resources: Resources) {
    this.#log = log;
    this.#resources = resources;
  }

  /** Tells scopes apart in batches that are summed up: see {@link ChangeLog.tellScopes}. Returns how to end that. */
  tell(): () => void {
    return this.#log.tellScopes();
  }

  /** Checks a scope of a resource: see {@link Resources.scopeFault}. */
  fault(...topic: Parameters<Resources['scopeFault']>): ReturnType<Resources['scopeFault']> {
    return this.#resources.scopeFault(...topic);
  }

  /** Reads which scopes a resource has now: see {@link Resources.scopesNow}. */
  now(resource: string): ReturnType<Resources['scopesNow']> {
    return this.#resources.scopesNow(resource);
  }
}
