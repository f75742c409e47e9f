/** The largest number of answers that are kept: many clients ask for few lists. */
const MAX_LISTS = 100;

/**
 * Answers many clients with one query: after a change, thousands of them fetch the same list. While nothing has
 * changed since, what the first one got is the answer for all.
 */
export class SharedLists<Answer> {
  readonly #lists = new Map<string, { readonly state: number; readonly answer: Promise<Answer> }>();

  /**
   * @param key what is asked for, the same for all who may get the same.
   * @param state from `refetchStateOf`, another after each change; undefined where few clients refetch: each query runs.
   */
  get(key: string, state: number | undefined, query: () => Promise<Answer>): Promise<Answer> {
    if (state === undefined) return query();
    const known = this.#lists.get(key);
    if (known?.state === state) return known.answer;
    if (this.#lists.size >= MAX_LISTS) this.#lists.clear();
    const list = { state, answer: query() };
    this.#lists.set(key, list);
    list.answer.catch(() => {
      if (this.#lists.get(key) === list) this.#lists.delete(key);
    });
    return list.answer;
  }

  /** Something was written here: who wrote it must see it, also before the feed has read it. */
  forget(): void {
    this.#lists.clear();
  }
}
