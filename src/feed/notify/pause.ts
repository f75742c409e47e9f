/** A wait that something else may end. */
export class Pause {
  #end: (() => void) | undefined;
  #over = false;

  /** Waits, or until {@link Pause.end}. @param ms at the most. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#over) this.#end();
    });
  }

  /** Ends the wait that is under way. */
  end(): void {
    this.#end?.();
  }

  /** Ends it, and every wait from now on. */
  endForGood(): void {
    this.#over = true;
    this.end();
  }
}
