import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { useSSE } from 'pg-change-feed/react';
import { useLiveQuery } from 'pg-change-feed/react-query';
import { createElement as h, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

function Names({ table }) {
  const [keys, setKeys] = useState([]);
  const { status } = useSSE(table, (change) => setKeys((before) => [...before, ...(change.keys ?? [])]), {
    burstMs: 0,
  });
  const queryFn = () => fetch(`/rows/${table}`).then((answer) => answer.text());
  const { data } = useLiveQuery(table, { queryKey: [table], queryFn });
  return h('p', null, `${status} ${table} keys=${keys.join()} rows=${data}`);
}

function App() {
  const [table, setTable] = useState('a');
  return h(
    'div',
    null,
    h('button', { type: 'button', onClick: () => setTable('b') }, 'other'),
    h('button', { type: 'button', onClick: () => setTable(undefined) }, 'none'),
    table && h(Names, { table }),
  );
}

createRoot(document.getElementById('app')).render(
  h(StrictMode, null, h(QueryClientProvider, { client: new QueryClient() }, h(App))),
);
