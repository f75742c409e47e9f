import { MAX_REMEMBERED } from './limits.js';

/** Remembers the answers of `authorize` for one stream, so that it is asked once for each resource. */
export class Rights {
  readonly #authorize: (resource: string) => boolean;
  readonly #answers = new Map<string, boolean>();

  constructor(authorize: (resource: string) => boolean) {
    this.#authorize = authorize;
  }

  /** Returns whether the stream may receive a resource. */
  authorize(resource: string): boolean {
    let answer = this.#answers.get(resource);
    if (answer === undefined) {
      answer = this.#authorize(resource);
      if (this.#answers.size >= MAX_REMEMBERED) this.#answers.clear();
      this.#answers.set(resource, answer);
    }
    return answer;
  }
}
