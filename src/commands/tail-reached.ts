import { styleText } from 'node:util';
import type { LoggedChange } from '../change.js';
import type { ChangeLog } from '../feed/log/change-log.js';
import { type Reach, reachColumns } from './reach.js';

/** The changes of one question; of more at once the last are asked for. */
const MAX_CHANGES = 20;

const ASK = 'select change_feed.ask_servers() as question';
const REACH = `
  select ${reachColumns} from unnest($2::xid8[], $3::text[]) with ordinality as change (xid, name, place)
  cross join lateral change_feed.reach($1, xid, array[name], ends => statement_timestamp() + interval '1 s')
  where server = 'all' order by place`;

/** Says of the changes that `tail` has printed whether they have reached anyone, one question at a time. */
export class TailReached {
  readonly #log: ChangeLog;
  readonly #print: (reach: Reach) => void;
  readonly #onFailure: (error: unknown) => void;
  #waiting: LoggedChange[] = [];
  #asking: Promise<void> | undefined;

  /** @param print takes each answer. @param onFailure called when the servers could not be asked. */
  constructor(log: ChangeLog, print: (reach: Reach) => void, onFailure: (error: unknown) => void) {
    this.#log = log;
    this.#print = print;
    this.#onFailure = onFailure;
  }

  /** Takes changes that were printed. */
  add(changes: readonly LoggedChange[]): void {
    this.#waiting = [...this.#waiting, ...changes].slice(-MAX_CHANGES);
    if (this.#waiting.length > 0) this.#asking ??= this.#askAll();
  }

  async #askAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const changes = this.#waiting;
      this.#waiting = [];
      // One transaction may change a resource many times.
      const each = [...new Map(changes.map((change) => [`${change.xid} ${change.resource}`, change])).values()];
      try {
        const [asked] = await this.#log.query<{ question: string }>(ASK);
        const xids = each.map(({ xid }) => (xid === undefined ? null : String(xid)));
        const names = each.map(({ resource }) => resource);
        for (const reach of await this.#log.query<Reach>(REACH, [asked?.question, xids, names])) this.#print(reach);
      } catch (error) {
        this.#onFailure(error);
      }
    }
    this.#asking = undefined;
  }
}

/** Makes the answer for programs, as JSON. */
export function reachedJson({ resource, has_read, subscribed, handed, behind, ms, says }: Reach): string {
  return JSON.stringify({ reached: { resource, hasRead: has_read, subscribed, handed, behind, ms, says } });
}

/** Makes the answer for people, in one line. */
export function reachedText({ resource, ms, says }: Reach): string {
  const text = `  → ${resource}: ${says.replace(/\p{Cc}/gu, '?')}${ms === null ? '' : `, after ${ms} ms`}`;
  return styleText('dim', text, { stream: process.stdout, validateStream: true });
}
