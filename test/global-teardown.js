/** Stops the Postgres that the set-up has started. */
export default async function tearDown() {
  await globalThis.stopTestPostgres?.();
}
