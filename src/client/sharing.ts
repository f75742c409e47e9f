import type { Connection } from './connection.js';
import type { FeedMessage } from './message.js';
import type { Settings } from './options.js';
import type { Registrations } from './registrations.js';
import { sharingName } from './sharing-name.js';
import type { SSEState } from './status.js';
import type { Subscriptions } from './subscriptions.js';
import { Tabs } from './tabs.js';

/** A page that shares a stream. */
export interface SharingPage {
  readonly settings: () => Settings;
  readonly state: () => SSEState;
  readonly registrations: Registrations;
  readonly subscriptions: Subscriptions;
  readonly connection: Connection;
  /** Called with what another tab's stream has received. */
  readonly apply: (message: FeedMessage, signal: AbortSignal) => void;
  /** Connects, unless the page is live. */
  readonly wake: () => unknown;
  /** Called when the page leaves the other tabs. */
  readonly part: () => void;
  /** Called when the page joins the tabs with which it shares now. */
  readonly rejoin: () => void;
}

/** The page among the tabs that share a stream. */
export interface Sharing {
  readonly tabs: Tabs;
  /** Joins other tabs where somebody else has signed in: tabs share only with the same rights. */
  check(): Promise<void>;
}

/** Joins the other tabs of the same person. @returns undefined where the person is not known. */
export async function share(page: SharingPage, signal: AbortSignal): Promise<Sharing | undefined> {
  const { settings, state, registrations, subscriptions, connection, apply, wake, part, rejoin } = page;
  const name = await sharingName(settings());
  if (signal.aborted || name === undefined) return undefined;
  const tabs = new Tabs(name, {
    topics: () => registrations.topics,
    position: () => registrations.position,
    state,
    brings: (topic) => subscriptions.brings(topic),
    lead: () => connection.takeOver(state()),
    follow: () => connection.close('idle'),
    apply,
    wantsChanged: () => {
      subscriptions.reconcile();
      connection.changed();
    },
    wake: () => void wake(),
    solo: () => {
      part();
      connection.connect();
    },
  });
  return {
    tabs,
    check: async () => {
      const now = await sharingName(settings()).catch(() => undefined);
      if (signal.aborted || now === name) return;
      part();
      connection.close('paused');
      rejoin();
    },
  };
}
