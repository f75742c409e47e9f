/** Options of `SSEService.on`. */
export interface ListenOptions {
  /**
   * The position up to which the listener knows everything: the header `Change-Feed-Position` of its own list. It receives
   * what has changed since, whatever the positions of other listeners. Null and undefined: none.
   */
  since?: string | null | undefined;
}

/** Options of `SSEService.until`. */
export interface UntilOptions {
  /** The longest wait, in ms. Default 10,000. */
  timeoutMs?: number | undefined;
}
