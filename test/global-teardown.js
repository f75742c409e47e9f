/** Stops the Postgres that the set-up has started, and removes the temporary files of the run. */
export default async function tearDown() {
  await globalThis.stopTestPostgres?.();
  await globalThis.removeTestFolder?.();
}
