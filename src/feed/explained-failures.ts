import { ownerFault } from '../database/owner-fault.js';
import { rowSecurityFault } from '../database/row-security.js';
import { type Query, schemaFault, schemaState } from '../database/schema-state.js';
import { OperatorError } from '../operator-error.js';
import type { Failures } from './failure-log.js';

/**
 * SQLSTATEs of a statement that no longer fits the schema: insufficient privilege (row level security, too), an undefined
 * schema, function, table or column, another type, and a prepared statement whose columns have changed.
 */
const MISFITS: ReadonlySet<unknown> = new Set(['42501', '3F000', '42883', '42P01', '42703', '42804', '0A000']);

const SCHEMA_FAULT = 'the schema change_feed is not well';

/**
 * Passes failures on, and replaces the error of a statement that no longer fits the schema by the reason, in one sentence
 * that says what to run: the schema was replaced by that of another version while the server runs, row level security
 * hides it, or its owner was changed. So all failures with that cause are logged as one.
 */
export class ExplainedFailures implements Failures {
  readonly #failures: Failures;
  readonly #query: Query;
  #explanation: Promise<string | undefined> | undefined;
  /** The number of successes of each work. */
  readonly #successes = new Map<string, number>();

  constructor(failures: Failures, query: Query) {
    this.#failures = failures;
    this.#query = query;
  }

  failed(work: string, error?: unknown): void {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (MISFITS.has(code)) void this.#explain(work, error);
    else this.#failures.failed(work, error);
  }

  succeeded(work: string): void {
    this.#successes.set(work, (this.#successes.get(work) ?? 0) + 1);
    this.#failures.succeeded(work);
  }

  /**
   * Logs where the schema is that of another version, or changes may not be recorded, although nothing has failed here.
   * @param options `owners`: looks for the latter, too. One of all servers is enough.
   * @throws what the query throws.
   */
  async checkSchema({ owners }: { readonly owners: boolean }): Promise<void> {
    const fault = schemaFault(await schemaState(this.#query)) ?? (owners ? await ownerFault(this.#query) : undefined);
    if (fault === undefined) this.#failures.succeeded(SCHEMA_FAULT);
    else this.#failures.failed(SCHEMA_FAULT, new OperatorError(fault));
  }

  async #explain(work: string, error: unknown): Promise<void> {
    const before = this.#successes.get(work);
    // Several may fail at once: one query tells why.
    this.#explanation ??= this.#reason().finally(() => {
      this.#explanation = undefined;
    });
    const reason = await this.#explanation;
    this.#failures.failed(work, reason === undefined ? error : new OperatorError(reason, { cause: error }));
    // It works again while the reason was asked for: else it would count as failing for ever.
    if (this.#successes.get(work) !== before) this.#failures.succeeded(work);
  }

  async #reason(): Promise<string | undefined> {
    try {
      return (
        schemaFault(await schemaState(this.#query)) ??
        (await rowSecurityFault(this.#query)) ??
        (await ownerFault(this.#query))
      );
    } catch {
      return undefined; // the error itself is logged then
    }
  }
}
