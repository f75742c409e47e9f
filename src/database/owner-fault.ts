import type { Query } from './schema-state.js';

/**
 * The reason why changes may not be recorded, as one sentence that says what to run: an owner or a right on the feed's
 * objects was changed.
 * @returns undefined where all is well, or where the current user may not look.
 */
export async function ownerFault(query: Query): Promise<string | undefined> {
  try {
    const [found] = await query<{ fault: string }>(
      'select fault from change_feed.owner_fault order by place, fault limit 1',
    );
    if (!found) return undefined;
    return `Changes may not be recorded, because ${found.fault}: run \`select change_feed.repair()\` as a superuser.`;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === '42501') return undefined;
    throw error;
  }
}
