import { VueQueryPlugin } from '@tanstack/vue-query';
import { createApp } from 'vue';
import { sseService } from '../client/index.js';
import App from './App.vue';
import { getToken, takeTokenFromAddress } from './session.js';
import './style.css';

takeTokenFromAddress();
sseService.configure({ getToken });
// In a tab that is open already, no page is loaded for it.
window.addEventListener('hashchange', () => {
  if (takeTokenFromAddress() && sseService.status !== 'idle') sseService.connect();
});

createApp(App)
  .use(VueQueryPlugin, {
    queryClientConfig: {
      // The feed says when something has changed: until then what is shown is right.
      defaultOptions: { queries: { refetchOnWindowFocus: false, refetchOnReconnect: false, retry: 1 } },
    },
  })
  .mount('#app');
