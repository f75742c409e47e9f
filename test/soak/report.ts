import type { Verdict } from './ledger.js';

/** One line for a stretch that has just been judged. */
export function line(name: string, verdict: Verdict): string {
  const { committed, lost, coveredByName, coveredByRefetch, coveredByResync, longestDelayMs } = verdict;
  const share = shareOf(verdict);
  return (
    `${name}: ${committed} changes${lost > 0 ? `, ${lost} more lost` : ''}, ${share(coveredByName)} by name, ` +
    `${share(coveredByRefetch)} by refetch, ${share(coveredByResync)} by resync, longest delay ${Math.round(longestDelayMs)} ms\n`
  );
}

/** All stretches of a run, summed up by name. */
export class Report {
  readonly #rows = new Map<string, { readonly sum: Verdict; times: number }>();

  add(name: string, verdict: Verdict): void {
    const row = this.#rows.get(name);
    if (!row) {
      this.#rows.set(name, { sum: { ...verdict }, times: 1 });
      return;
    }
    row.times += 1;
    const { sum } = row;
    for (const field of [
      'committed',
      'lost',
      'pairs',
      'coveredByName',
      'coveredByRefetch',
      'coveredByResync',
    ] as const) {
      sum[field] += verdict[field];
    }
    sum.longestDelayMs = Math.max(sum.longestDelayMs, verdict.longestDelayMs);
  }

  /** As README has it. */
  table(): string {
    const rows = [...this.#rows].map(([name, { sum, times }]) => {
      const share = shareOf(sum);
      const cells = [name, times, sum.committed, share(sum.coveredByResync), `${Math.round(sum.longestDelayMs)} ms`];
      return `| ${cells.join(' | ')} |`;
    });
    const head = [
      '| fault | times | changes | covered by a resync | longest delay |',
      '| --- | --- | --- | --- | --- |',
    ];
    return `${[...head, ...rows].join('\n')}\n`;
  }
}

function shareOf({ pairs }: Verdict): (part: number) => string {
  return (part) => `${((100 * part) / Math.max(1, pairs)).toFixed(2)} %`;
}
