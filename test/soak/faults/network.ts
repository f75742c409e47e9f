import { setTimeout as delay } from 'node:timers/promises';
import { SILENCE_MS } from '../clients.js';
import type { Fault } from '../fault.js';

/** Connections that are cut without a FIN: neither side hears of it. */
export const NETWORK_FAULTS: readonly Fault[] = [
  {
    name: 'TCP between the servers and Postgres cut without a FIN',
    strike: async ({ servers }) => {
      for (const { back } of servers.running) back.goSilent();
      await delay(5000);
      for (const { back } of servers.running) back.bury();
    },
  },
  {
    name: 'the same, and for 1.5 s new connections lead nowhere',
    strike: async ({ servers }) => {
      for (const { back } of servers.running) back.goSilent({ allNew: true });
      await delay(1500);
      for (const { back } of servers.running) back.speak();
      await delay(5000);
      for (const { back } of servers.running) back.bury();
    },
    limitMs: 6500,
  },
  {
    name: `TCP between clients and servers cut without a FIN (clients wait ${SILENCE_MS / 1000} s)`,
    limitMs: SILENCE_MS + 2000,
    strike: async ({ servers }) => {
      for (const { front } of servers.running) front.goSilent();
      await delay(SILENCE_MS + 500);
      for (const { front } of servers.running) front.bury();
    },
  },
];
