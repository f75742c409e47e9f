// Loaded before a server (node --import): on SIGUSR2 it collects all garbage, and writes to the file HEAP_REPORT how many
// bytes are in use.
import { writeFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('SIGUSR2', () => {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  writeFileSync(process.env.HEAP_REPORT ?? '', `${heapUsed + external}\n`);
});
