/** What `SSEService.on` takes. */
export interface ListenOptions {
  /**
   * Up to where the listener knows everything: the header `Change-Feed-Position` of its own list. It is told what has
   * changed since, whatever the positions of other listeners. Null and undefined: none.
   */
  since?: string | null | undefined;
}

/** What `SSEService.until` takes. */
export interface UntilOptions {
  /** How long it waits, in ms. Default 10,000. */
  timeoutMs?: number | undefined;
}
