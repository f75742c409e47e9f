import { fileURLToPath } from 'node:url';
import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

/** The web UI: src/app/web, built into dist/web, from where the server serves it. */
export default defineConfig({
  root: 'src/app/web',
  base: './',
  plugins: [vue()],
  // The sources of the library, not what was built of them: an edit shows at once.
  resolve: {
    alias: Object.fromEntries(
      ['client', 'vue-query', 'vue'].map((name) => [
        `pg-change-feed/${name}`,
        fileURLToPath(new URL(`src/${name}/index.ts`, import.meta.url)),
      ]),
    ),
  },
  build: { outDir: '../../../dist/web', emptyOutDir: true, reportCompressedSize: false },
  // `npm run web`: the pages as they are edited, beside a server that runs
  server: { proxy: { '/api': 'http://localhost:3000' } },
});
