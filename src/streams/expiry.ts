import type { Client } from './client.js';
import { expiredEvent } from './event-format.js';

/** The longest wait of setTimeout, in ms (24.8 days); a longer one would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Ends streams with their tokens. Those that end at the same moment share a timer: tokens end at whole seconds. */
export class Expiry {
  readonly #ending = new Map<number, { readonly clients: Set<Client>; timer: NodeJS.Timeout }>();

  /** Ends a client's stream at a time. @param expiresAt in ms since 1970. */
  add(client: Client, expiresAt: number): void {
    const known = this.#ending.get(expiresAt);
    if (known) known.clients.add(client);
    else this.#ending.set(expiresAt, { clients: new Set([client]), timer: this.#wait(expiresAt) });
  }

  /** Forgets a client whose stream has ended. */
  delete(client: Client, expiresAt: number): void {
    const entry = this.#ending.get(expiresAt);
    entry?.clients.delete(client);
    if (entry?.clients.size !== 0) return;
    clearTimeout(entry.timer);
    this.#ending.delete(expiresAt);
  }

  #wait(expiresAt: number): NodeJS.Timeout {
    const ms = Math.min(Math.max(expiresAt - Date.now(), 0), MAX_TIMEOUT_MS);
    return setTimeout(() => this.#end(expiresAt), ms);
  }

  #end(expiresAt: number): void {
    const entry = this.#ending.get(expiresAt);
    if (!entry) return;
    if (Date.now() < expiresAt) {
      entry.timer = this.#wait(expiresAt);
      return;
    }
    this.#ending.delete(expiresAt);
    for (const client of entry.clients) client.end('its token ended', expiredEvent());
  }
}
