import type { Status } from './api.js';

/** How a registration's status reads. */
export const STATUS_TEXTS: Readonly<Record<Status, string>> = {
  OFFEN: 'offen',
  BESTAETIGT: 'bestätigt',
  STORNIERT: 'storniert',
  ABGELEHNT: 'abgelehnt',
};
