/**
 * Makes the SQL that says how to watch a table as it is watched, or another in its place: `watch()` sets all that it is not told
 * back to its defaults.
 * @param watched the alias of rows of `change_feed.watched_table` or `change_feed.recorder_trigger`.
 * @param changed SQL of what is to be otherwise: the table, whether keys are named, and the scopes.
 */
export function watchCallOf(
  watched: string,
  {
    relation = `${watched}.relation`,
    keys = `${watched}.keys`,
    scopes = `${watched}.scopes`,
  }: { relation?: string; keys?: string; scopes?: string } = {},
): string {
  return `format('select change_feed.watch(%L%s%s%s)', ${relation}::regclass,
    case when ${watched}.resource <> (select c.relname from pg_class c where c.oid = ${relation})
      then format(', %L', ${watched}.resource) end,
    case when not ${keys} then ', keys => false' end,
    case when ${scopes} <> '[]' then format(', scopes => %L', change_feed.scope_names(${scopes})) end)`;
}
