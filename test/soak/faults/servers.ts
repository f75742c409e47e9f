import { setTimeout as delay } from 'node:timers/promises';
import { exemptClientsOf, type Fault } from '../fault.js';

/** Faults of the servers. */
export const SERVER_FAULTS: readonly Fault[] = [
  {
    name: 'the server that leads killed (SIGKILL)',
    strike: async ({ servers }) => {
      await servers.end(servers.lead(), 'SIGKILL');
      await servers.start();
    },
  },
  {
    name: 'the server that leads stopped (SIGSTOP) for 5 s',
    strike: async (target) => {
      const lead = target.servers.lead();
      exemptClientsOf(lead, target);
      lead.child.kill('SIGSTOP');
      await delay(5000);
      lead.child.kill('SIGCONT');
    },
  },
  {
    name: 'the server that leads ended (SIGTERM)',
    strike: async ({ servers }) => {
      await servers.end(servers.lead(), 'SIGTERM');
      await servers.start();
    },
  },
];
