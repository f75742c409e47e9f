import type { Connection } from './connection.js';
import type { FeedMessage } from './message.js';
import type { Settings } from './options.js';
import type { Registrations } from './registrations.js';
import { sharingName } from './sharing-name.js';
import type { SSEState } from './status.js';
import type { Subscriptions } from './subscriptions.js';
import { Tabs } from './tabs.js';

/** The page that is to share a stream. */
export interface SharingPage {
  readonly settings: () => Settings;
  readonly state: () => SSEState;
  readonly registrations: Registrations;
  readonly subscriptions: Subscriptions;
  readonly connection: Connection;
  /** Another tab's stream has brought something. */
  readonly apply: (message: FeedMessage, signal: AbortSignal) => void;
  /** Connects, unless the page is live. */
  readonly wake: () => unknown;
  /** The page parts from the other tabs. */
  readonly part: () => void;
  /** The page joins those that it shares with now. */
  readonly rejoin: () => void;
}

/** A page's place among the tabs that share a stream. */
export interface Sharing {
  readonly tabs: Tabs;
  /** Somebody else may have signed in: tabs share with the same rights only. */
  check(): Promise<void>;
}

/** Joins the other tabs of the same person. @returns undefined where nobody knows whose rights the page has. */
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
