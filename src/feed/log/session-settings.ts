/**
 * The settings to which the reader's sessions are pinned, whatever the role or the database says. A plan is made once and kept, for to
 * make it takes longer than all the rest of the read (0.95 ms with it, 0.27 without), so it must not depend on how long the
 * log is then: without the two switches it may scan the whole log, or collect all that is new before it gives the first row.
 * Under repeatable read it would see nothing new.
 */
export const READER_SETTINGS = [
  // Nothing that somebody has put into another schema is taken for a function or an operator of Postgres.
  'search_path=pg_catalog,pg_temp',
  'plan_cache_mode=force_generic_plan',
  'enable_seqscan=off',
  'enable_bitmapscan=off',
  'jit=off',
  // Row level security on the log fails a read then. Otherwise it would find nothing, for ever, and say nothing.
  'row_security=off',
  'default_transaction_isolation=read\\ committed',
  'default_transaction_read_only=off',
]
  .map((setting) => `-c ${setting}`)
  .join(' ');
