import { type ServerCalls, UNKNOWN_CALL } from '../feed/servers/server-calls.js';
import type { ServerRow, ServerState } from './report.js';
import type { MonitorRequest } from './requests.js';

/** The time between two questions to a server, in ms. */
const ASK_MS = 1000;
/** A server is silent that has not answered for so long, in ms; one that receives no notifications looks every 200 ms. */
const SILENT_MS = 1500;
const SILENT_DEAF_MS = 2500;
/** The time for which a server that is gone without signing off stays on the list, in ms. */
const GONE_MS = 600_000;
/** The largest number of servers that are asked: as many as a page can show. */
const MAX_PEERS = 50;
/** The subject of the questions that a timer asks. */
const BY_TIMER = 'monitor';

/** A server that reports. */
export interface ListedServer {
  readonly id: string;
  readonly place: string;
}

/** Another server, as far as it is known. */
interface Peer {
  readonly place: string;
  readonly knownAt: number;
  asking: boolean;
  off: boolean;
  answeredAt?: number;
  state?: ServerState;
  /** The time at which it was on the list no more. */
  goneAt?: number;
}

/** The parts of {@link Peers}. */
export interface PeersOptions {
  readonly instanceId: string;
  readonly calls: ServerCalls;
  /** Lists the servers that report. */
  readonly list: () => Promise<readonly ListedServer[]>;
  /** Tells whether the database can be reached: servers ask each other through it. */
  readonly canReach: () => boolean;
}

/** The other servers on the database, asked once a second while somebody looks. */
export class Peers {
  readonly #options: PeersOptions;
  readonly #peers = new Map<string, Peer>();
  #timer: NodeJS.Timeout | undefined;
  #listing = false;
  #ownPlace = '';

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** Begins to ask. */
  start(): void {
    if (this.#timer) return;
    this.#timer = setInterval(() => this.#ask(), ASK_MS);
    this.#ask();
  }

  /** Asks no more, and forgets what was said. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#peers.clear();
  }

  /** Host and process id of this server. */
  get ownPlace(): string {
    return this.#ownPlace;
  }

  /** The rows of the other servers. */
  rows(): ServerRow[] {
    const now = performance.now();
    return Array.from(this.#peers, ([id, peer]) => ({
      id,
      place: peer.place,
      self: false,
      answer: this.#answerOf(peer, now),
      answeredAgoMs: peer.answeredAt === undefined ? null : now - peer.answeredAt,
      state: peer.state ?? null,
    }));
  }

  /**
   * Asks all servers that report, at once; none where the database does not say which these are.
   * @param subject in whose name.
   * @returns the answers of those that gave one within two seconds.
   */
  async askAll<Answer>(question: MonitorRequest, subject: string): Promise<Map<string, Answer>> {
    const servers = await this.#others().catch(() => []);
    const answers = await Promise.all(
      servers.map(async ({ id }) => [id, await this.askOne<Answer>(id, question, subject)] as const),
    );
    return new Map(answers.flatMap(([id, answer]) => (answer === undefined ? [] : [[id, answer] as const])));
  }

  /** Asks a server. @returns undefined where it gives no answer within two seconds, or has no monitor. */
  async askOne<Answer>(server: string, question: MonitorRequest, subject: string): Promise<Answer | undefined> {
    try {
      const text = await this.#options.calls.call(server, question, subject);
      return text === UNKNOWN_CALL ? undefined : (JSON.parse(text) as Answer);
    } catch {
      return undefined;
    }
  }

  /** Lists the servers that report, without this one. */
  async #others(): Promise<readonly ListedServer[]> {
    const { instanceId, list } = this.#options;
    const servers = await list();
    this.#ownPlace = servers.find(({ id }) => id === instanceId)?.place ?? this.#ownPlace;
    return servers.filter(({ id }) => id !== instanceId).slice(0, MAX_PEERS);
  }

  #ask(): void {
    void this.#refreshList();
    for (const [id, peer] of this.#peers) if (!peer.asking && peer.goneAt === undefined) void this.#askState(id, peer);
  }

  async #refreshList(): Promise<void> {
    if (this.#listing) return;
    this.#listing = true;
    try {
      const servers = await this.#others();
      const now = performance.now();
      for (const { id, place } of servers) {
        const known = this.#peers.get(id);
        if (known) {
          delete known.goneAt;
          continue;
        }
        const peer: Peer = { place, knownAt: now, asking: false, off: false };
        if (!this.#timer) return;
        this.#peers.set(id, peer);
        void this.#askState(id, peer);
      }
      for (const [id, peer] of this.#peers) {
        if (servers.some((server) => server.id === id)) continue;
        peer.goneAt ??= now;
        // It has taken itself off the list, or nobody needs to know any more.
        if (this.#answerOf({ ...peer, goneAt: undefined }, now) !== 'silent' && now - peer.goneAt < ASK_MS)
          this.#peers.delete(id);
        else if (now - peer.goneAt > GONE_MS) this.#peers.delete(id);
      }
    } catch {
      // The feed's own reads log the reason.
    } finally {
      this.#listing = false;
    }
  }

  async #askState(id: string, peer: Peer): Promise<void> {
    peer.asking = true;
    try {
      const text = await this.#options.calls.call(id, { kind: 'monitor', ask: 'state' }, BY_TIMER);
      peer.answeredAt = performance.now();
      peer.off = text === UNKNOWN_CALL;
      if (!peer.off) peer.state = JSON.parse(text) as ServerState;
    } catch {
      // It is silent, and its row says so.
    } finally {
      peer.asking = false;
    }
  }

  #answerOf(peer: Omit<Peer, 'goneAt'> & { readonly goneAt?: number | undefined }, now: number): ServerRow['answer'] {
    if (!this.#options.canReach()) return 'unknown';
    if (peer.goneAt !== undefined) return 'gone';
    const patienceMs = peer.state?.listening === false ? SILENT_DEAF_MS : SILENT_MS;
    if (now - (peer.answeredAt ?? peer.knownAt) > patienceMs) return 'silent';
    if (peer.answeredAt === undefined) return 'waiting';
    return peer.off ? 'off' : 'ok';
  }
}
