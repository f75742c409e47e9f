import { VueQueryPlugin } from '@tanstack/vue-query';
import { sseService } from 'pg-change-feed/client';
import { createApp } from 'vue';
import App from './App.vue';
import { keepFocus } from './live/keep-focus.js';
import { queryDefaults } from './live/query-defaults.js';
import { getToken } from './session/session.js';
import './style.css';

sseService.configure({ getToken });
keepFocus();
createApp(App)
  .use(VueQueryPlugin, { queryClientConfig: { defaultOptions: { queries: queryDefaults } } })
  .mount('#app');
