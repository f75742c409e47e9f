/** The result of merging a form with a row that has changed under it. */
export interface Merged<Fields> {
  readonly fields: Fields;
  /** The fields that both have changed, each to another value: people have to choose. The form's own value stays. */
  readonly conflicts: readonly (keyof Fields)[];
}

/**
 * Merges field by field: who alone has changed a field is right.
 * @param base the row as the form began with it.
 * @param mine what the form has.
 * @param theirs the row as it is now.
 */
export function mergeFields<Fields extends object>(base: Fields, mine: Fields, theirs: Fields): Merged<Fields> {
  const fields = { ...mine };
  const conflicts: (keyof Fields)[] = [];
  for (const name of Object.keys(mine) as (keyof Fields)[]) {
    if (mine[name] === base[name]) fields[name] = theirs[name];
    else if (theirs[name] !== base[name] && theirs[name] !== mine[name]) conflicts.push(name);
  }
  return { fields, conflicts };
}
