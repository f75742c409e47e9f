/** Runs a task one at a time: calls while it runs lead to one more run, not to many. Anybody can notify. */
export class OneAtATime {
  readonly #task: () => Promise<void>;
  #running: Promise<void> | undefined;
  #again = false;

  constructor(task: () => Promise<void>) {
    this.#task = task;
  }

  /** Resolves when a run that begins after this call has ended. */
  run(): Promise<void> {
    this.#again = true;
    this.#running ??= this.#runAll();
    return this.#running;
  }

  async #runAll(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#task();
    }
    this.#running = undefined;
  }
}
