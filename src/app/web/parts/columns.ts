/** A column of a table; its cells are slots of the same name. */
export interface Column {
  readonly name: string;
  /** Its heading; in a card the word before the value. */
  readonly title: string;
  /** The column that the server sorts by; none: it can't be sorted by. */
  readonly sort?: string;
  /** The look: `number` is aligned to the right. */
  readonly look?: string;
}
