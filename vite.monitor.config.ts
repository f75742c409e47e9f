import { defineConfig } from 'vite';

/** The page of the monitor: src/monitor/page, built beside the compiled library, from where each server serves it. */
export default defineConfig({
  root: 'src/monitor/page',
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../../../dist/src/monitor/page',
    emptyOutDir: true,
    reportCompressedSize: false,
    modulePreload: false,
    // The page is at /monitor, and its files are behind it.
    assetsDir: 'monitor',
    // The licenses of what is bundled ask for their text to be passed on.
    license: { fileName: 'LICENSES.md' },
    rollupOptions: {
      output: { entryFileNames: 'monitor/monitor-[hash].js', assetFileNames: 'monitor/monitor-[hash][extname]' },
    },
  },
  // `npx vite --config vite.monitor.config.ts`: the page as it is edited, beside a server that runs
  server: { proxy: { '/api': 'http://localhost:3000' } },
});
