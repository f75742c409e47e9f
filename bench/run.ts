// npm run bench -- [--quick] [NAME…]: all benchmarks, or those that are named. Prints medians, ratios and versions.
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Bench } from './bench.js';
import { bulkUpdate } from './bulk-update.js';
import { openPostgres } from './database.js';
import { fanOut } from './fan-out.js';
import { growth } from './growth.js';
import { instructions } from './instructions.js';
import { latency } from './latency.js';
import { lists } from './lists.js';
import { longLived } from './long-lived.js';
import { memory } from './memory.js';
import { reconnectStorm } from './reconnect-storm.js';
import { scopes } from './scopes.js';
import { servers } from './servers.js';
import { slowReaders } from './slow-readers.js';
import { tabs } from './tabs.js';
import { writers } from './writers.js';

const benches: readonly Bench[] = [
  writers,
  bulkUpdate,
  instructions,
  latency,
  fanOut,
  memory,
  slowReaders,
  reconnectStorm,
  growth,
  longLived,
  lists,
  scopes,
  servers,
  tabs,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`There is no bench ${unknown.join(', ')}. These are:`);
  for (const { name, about } of benches) console.error(`  ${name}: ${about}`);
  process.exit(1);
}

const postgres = await openPostgres();
const memoryGB = Math.round(totalmem() / 2 ** 30);
console.log(
  `${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${postgres.version}, ` +
    `${cpus().length} cores of ${cpus()[0]?.model}, ${memoryGB} GB\n`,
);
try {
  for (const bench of benches) {
    if (positionals.length > 0 && !positionals.includes(bench.name)) continue;
    console.log(`## ${bench.name}: ${bench.about}\n`);
    await bench.run({ postgres, scale: (whole, quick) => (values.quick ? quick : whole) });
  }
} finally {
  await postgres.stop();
}
