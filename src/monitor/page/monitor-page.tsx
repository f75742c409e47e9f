import { useEffect, useReducer, useState } from 'preact/hooks';
import { now } from '../../client/timing.js';
import { AlarmList } from './alarm-list.js';
import { alarmsOf } from './alarms.js';
import { ChangesSection } from './changes-section.js';
import { HistorySection } from './history-section.js';
import { LogSection } from './log-section.js';
import { MonitorStore } from './monitor-store.js';
import { ServersSection } from './servers-section.js';
import { forgetToken, tokenOfTab } from './session.js';
import { SignIn } from './sign-in.js';
import { StreamsSection } from './streams-section.js';
import { TablesSection } from './tables-section.js';
import { TestSection } from './test-section.js';

const STATUS = {
  connecting: 'verbindet …',
  live: 'live',
  silent: 'schweigt',
  broken: 'getrennt',
  refused: 'abgelehnt',
} as const;

/** The page, and a sign-in where the server asks for one. */
export function MonitorPage() {
  const [store, setStore] = useState(() => new MonitorStore());
  useNews(store);
  const { connection } = store;
  const restart = () => {
    store.close();
    setStore(new MonitorStore());
  };
  if (connection.isSignIn) return <SignIn refusal={tokenOfTab() ? connection.refusal : undefined} onToken={restart} />;
  return <Overview store={store} onSignOut={restart} />;
}

function Overview({ store, onSignOut }: { store: MonitorStore; onSignOut: () => void }) {
  const { connection, state, lostAt } = store;
  const servers = state?.servers ?? [];
  const isLive = connection.status === 'live';
  return (
    <>
      <header class="head">
        <h1>Monitor</h1>
        <span class={`status ${connection.status}`} data-status={connection.status}>
          {STATUS[connection.status]}
        </span>
        {tokenOfTab() && (
          <button
            type="button"
            onClick={() => {
              forgetToken();
              onSignOut();
            }}
          >
            Abmelden
          </button>
        )}
      </header>
      <AlarmList alarms={alarmsOf({ connection, state, lostAt, now: now() })} />
      <main class={isLive ? 'sections' : 'sections old'}>
        <ServersSection servers={servers} />
        <HistorySection history={store.history} version={store.historyVersion} />
        <ChangesSection buffer={store.changes} />
        <StreamsSection servers={servers} isLive={isLive} />
        <LogSection log={state?.log ?? null} />
        <TablesSection />
        <TestSection />
      </main>
    </>
  );
}

/** Draws a component anew after news of the store. */
function useNews(store: MonitorStore): void {
  const [, draw] = useReducer((count: number) => count + 1, 0);
  useEffect(() => store.listen(() => draw(undefined)), [store]);
}
