import { type SSEStatus, sseService } from 'pg-change-feed/client';
import { computed, shallowRef } from 'vue';

// The state of the connection, for all of the page.

/** The time between two looks at the clock, in ms. */
const TICK_MS = 1000;

/** Now, in ms since 1970, by the client's clock: one that nobody sets while the page is open. */
const clock = () => performance.timeOrigin + performance.now();

/** The feed's status. */
export const status = shallowRef<SSEStatus>(sseService.status);

/** Now, every second, in ms since 1970. */
export const now = shallowRef(clock());

/** The time since which changes of others may be missing, in ms since 1970; null while none are. */
export const lostAt = shallowRef<number | null>(null);

/** True while the feed is connected: then the page shows the current state. */
export const live = computed(() => status.value === 'connected');

const nextAttemptAt = shallowRef<number | null>(null);

/** The seconds until the next attempt; undefined where none is planned. */
export const secondsToAttempt = computed(() =>
  nextAttemptAt.value === null ? undefined : Math.max(Math.ceil((nextAttemptAt.value - now.value) / 1000), 0),
);

function look(): void {
  now.value = clock();
  ({ status: status.value, staleSince: lostAt.value, nextAttemptAt: nextAttemptAt.value } = sseService.state);
}
sseService.onStatus(look);
setInterval(look, TICK_MS);
