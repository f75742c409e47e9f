import { type SSEStatus, sseService } from 'pg-change-feed/client';
import { computed, shallowRef } from 'vue';

// Where the connection stands, for all of the page.

/** Between two looks at the clock, in ms. */
const TICK_MS = 1000;

/** Now, in ms since 1970, by the client's clock: one that nobody sets while the page is open. */
const clock = () => performance.timeOrigin + performance.now();

/** The feed's status. */
export const status = shallowRef<SSEStatus>(sseService.status);

/** Now, every second, in ms since 1970. */
export const now = shallowRef(clock());

/** Since when changes of others may be missing, in ms since 1970; null while all are heard. */
export const lostAt = shallowRef<number | null>(null);

/** Tells whether the feed is heard: then what is shown is as it is now. */
export const live = computed(() => status.value === 'connected');

const nextAttemptAt = shallowRef<number | null>(null);

/** In how many seconds the next attempt is made; undefined where none is planned. */
export const secondsToAttempt = computed(() =>
  nextAttemptAt.value === null ? undefined : Math.max(Math.ceil((nextAttemptAt.value - now.value) / 1000), 0),
);

function look(): void {
  now.value = clock();
  ({ status: status.value, staleSince: lostAt.value, nextAttemptAt: nextAttemptAt.value } = sseService.state);
}
sseService.onStatus(look);
setInterval(look, TICK_MS);
