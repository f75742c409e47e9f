import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query';
import { useSSE } from 'pg-change-feed/vue';
import { useLiveQuery } from 'pg-change-feed/vue-query';
import { computed, createApp, h, ref } from 'vue';

const Names = {
  props: ['table'],
  setup(props) {
    const keys = ref([]);
    const { status } = useSSE(
      () => props.table,
      (change) => keys.value.push(...(change.keys ?? [])),
      { burstMs: 0 },
    );
    const queryFn = () => fetch(`/rows/${props.table}`).then((answer) => answer.text());
    const { data } = useLiveQuery(() => props.table, { queryKey: [computed(() => props.table)], queryFn });
    return () => h('p', `${status.value} ${props.table} keys=${keys.value.join()} rows=${data.value}`);
  },
};

const App = {
  setup() {
    const table = ref('a');
    return () => [
      h('button', { onClick: () => (table.value = 'b') }, 'other'),
      h('button', { onClick: () => (table.value = undefined) }, 'none'),
      table.value && h(Names, { table: table.value }),
    ];
  },
};

createApp(App).use(VueQueryPlugin, { queryClient: new QueryClient() }).mount('#app');
