import { type Election, LeaseElection, LockElection } from './election.js';
import type { FeedMessage } from './message.js';
import { spreadOver } from './spread.js';
import type { SSEState } from './status.js';
import type { TabMessage } from './tab-message.js';
import { later } from './timing.js';

/** The time between two pings of a tab that follows, in ms; after two without an answer it takes the leader's place. */
const PING_MS = 3000;
const UNANSWERED = 2;
const JITTER_MS = 500;
/** The number of rounds without a ping after which a tab counts as gone. */
const GONE_AFTER = 5;
/** The largest number of topics of one stream: the server's MAX_SUBSCRIPTIONS, unless set lower. */
const MAX_TOPICS = 100;
/** The time in which listeners that come and go lead to one message, in ms. */
const TOGETHER_MS = 10;

/** A page that takes part. */
export interface TabsHost {
  /** The topics of the page's own listeners. */
  topics(): readonly string[];
  position(): string | undefined;
  state(): SSEState;
  /** Tells whether the page's own stream has a topic. */
  brings(topic: string): boolean;
  /** Called when the page has the stream from now on. */
  lead(): void;
  /** Called when the page does not have it any more. */
  follow(): void;
  /** Called with what another tab's stream has received. @param signal aborted when the page no longer follows that tab. */
  apply(message: FeedMessage, signal: AbortSignal): void;
  /** Called when other tabs want other topics. */
  wantsChanged(): void;
  /** Called when the leader is to connect now. */
  wake(): void;
  /** Called when the page needs a stream of its own. */
  solo(): void;
}

/** One stream for all tabs of a person: one tab leads and passes on what it receives, the others follow. */
export class Tabs {
  readonly #id = crypto.getRandomValues(new Uint32Array(3)).join('-');
  readonly #host: TabsHost;
  readonly #channel: BroadcastChannel;
  readonly #election: Election;
  readonly #lease: LeaseElection | undefined;
  readonly #pinging: ReturnType<typeof setInterval>;
  /** The topics of the other tabs, and the rounds since the last message of each. */
  readonly #others = new Map<string, { topics: readonly string[]; rounds: number }>();
  /** The term of the leader that the page follows, or the page's own. */
  #term: string | undefined;
  readonly #left = new Set<string>();
  #seq = 0;
  #leading = false;
  #unanswered = 0;
  #following = new AbortController();
  #cancelWant = () => {};
  #cancelTakeOver = () => {};
  #closed = false;

  /** @param name see `sharingName`. */
  constructor(name: string, host: TabsHost) {
    this.#host = host;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }: MessageEvent<TabMessage>) => this.#take(data);
    const handlers = {
      onLead: () => this.#lead(),
      onDeposed: () => this.#deposed(),
      announce: () => this.#term !== undefined && this.#send({ type: 'alive', term: this.#term }),
    };
    const locks = typeof navigator !== 'undefined' && 'locks' in navigator && navigator.locks !== undefined;
    this.#lease = locks ? undefined : new LeaseElection(handlers);
    this.#election = this.#lease ?? new LockElection(name, handlers);
    this.#pinging = setInterval(() => this.#round(), PING_MS);
    this.#want(true);
  }

  /** True while the page has the stream. */
  get leading(): boolean {
    return this.#leading;
  }

  /** The topics that the other tabs want. */
  get wanted(): string[] {
    return [...this.#others.values()].flatMap(({ topics }) => topics);
  }

  /** Passes on what the page's stream has received. @returns it as each tab receives it. */
  pass(brought: FeedMessage): FeedMessage {
    if (!this.#leading || this.#term === undefined) return brought;
    const tabs = [this.#host.topics(), ...Array.from(this.#others.values(), ({ topics }) => topics)];
    const message = spreadOver(brought, tabs);
    this.#seq += 1;
    this.#send({ type: 'feed', term: this.#term, seq: this.#seq, message });
    return message;
  }

  /** Takes note that the page's own listeners have changed. */
  changed(): void {
    if (this.#leading) this.#fit();
    this.#cancelWant();
    this.#cancelWant = later(TOGETHER_MS, () => this.#want(false));
  }

  /** Connects now, wherever the stream is. */
  wake(): void {
    if (this.#leading) this.#host.wake();
    else this.#send({ type: 'wake' });
  }

  /** Leaves the other tabs. */
  leave(): void {
    if (this.#closed) return;
    this.#send({ type: 'bye', tab: this.#id, term: this.#leading ? this.#term : undefined });
    this.#closed = true;
    this.#leading = false;
    clearInterval(this.#pinging);
    this.#cancelWant();
    this.#cancelTakeOver();
    this.#following.abort();
    this.#election.leave();
    // An open channel keeps a page from the back-forward cache.
    this.#channel.close();
  }

  #send(message: TabMessage): void {
    if (!this.#closed) this.#channel.postMessage(message);
  }

  #want(anew: boolean): void {
    this.#send({ type: 'want', tab: this.#id, topics: this.#host.topics(), anew });
  }

  #lead(): void {
    if (this.#closed) return;
    this.#cancelTakeOver();
    this.#forgetTerm();
    this.#leading = true;
    this.#seq = 0;
    this.#term = crypto.getRandomValues(new Uint32Array(4)).join('-');
    this.#fit();
    this.#hello([]);
    this.#host.lead();
  }

  #deposed(): void {
    if (this.#closed || !this.#leading) return;
    this.#leading = false;
    this.#forgetTerm();
    this.#unanswered = 0;
    this.#host.follow();
    this.#want(true);
  }

  /** Terms that the page has left. It never follows one again: a leader that hung continues to send when it wakes up. */
  #forgetTerm(): void {
    if (this.#term !== undefined) this.#left.add(this.#term);
    this.#term = undefined;
    this.#following.abort();
    this.#following = new AbortController();
  }

  #hello(topics: readonly string[], to?: string): void {
    if (this.#term === undefined) return;
    const { position, state } = this.#host;
    this.#send({
      type: 'hello',
      term: this.#term,
      seq: this.#seq,
      topics,
      position: position(),
      state: state(),
      ...(to !== undefined && { to }),
    });
  }

  #round(): void {
    for (const [tab, other] of this.#others) {
      other.rounds += 1;
      if (other.rounds <= GONE_AFTER) continue;
      this.#others.delete(tab);
      if (this.#leading) this.#host.wantsChanged();
    }
    if (this.#leading) return;
    // A hidden tab is in no hurry, and its timers are late.
    if (this.#unanswered >= UNANSWERED && document.visibilityState !== 'hidden') {
      this.#cancelTakeOver();
      this.#cancelTakeOver = later(Math.random() * JITTER_MS, () => {
        if (this.#unanswered < UNANSWERED || this.#leading) return;
        this.#unanswered = 0;
        this.#election.takeOver();
      });
    }
    this.#unanswered += 1;
    this.#send({ type: 'ping', tab: this.#id });
  }

  #take(message: TabMessage): void {
    if (this.#closed) return;
    switch (message.type) {
      case 'want':
        this.#takeWant(message.tab, message.topics, message.anew);
        break;
      case 'ping': {
        const other = this.#others.get(message.tab);
        if (other) other.rounds = 0;
        if (this.#leading && this.#term !== undefined) this.#send({ type: 'alive', term: this.#term });
        break;
      }
      case 'bye':
        if (this.#others.delete(message.tab) && this.#leading) this.#host.wantsChanged();
        if (message.term !== undefined && message.term === this.#term) this.#election.gone();
        break;
      case 'wake':
        if (this.#leading) this.#host.wake();
        break;
      case 'full':
        if (message.tab === this.#id) this.#host.solo();
        break;
      default:
        this.#takeFromLeader(message);
    }
  }

  #takeWant(tab: string, topics: readonly string[], anew: boolean): void {
    // Last, because a tab that asks for too much leaves.
    this.#others.delete(tab);
    this.#others.set(tab, { topics, rounds: 0 });
    if (!this.#leading) return;
    this.#fit();
    if (!this.#others.has(tab)) return;
    const brought = topics.filter((topic) => this.#host.brings(topic));
    if (anew) this.#hello(brought, tab);
    else for (const topic of brought) this.pass({ type: 'cover', topic });
    this.#host.wantsChanged();
  }

  /** Leaves what does not fit one stream to the tabs that came last: each opens a stream of its own. */
  #fit(): void {
    for (const tab of [...this.#others.keys()].reverse()) {
      if (new Set([...this.#host.topics(), ...this.wanted]).size <= MAX_TOPICS) return;
      this.#others.delete(tab);
      this.#send({ type: 'full', tab });
    }
  }

  #takeFromLeader(message: Extract<TabMessage, { term: string }>): void {
    const { term } = message;
    if (this.#left.has(term) || (message.type === 'hello' && message.to !== undefined && message.to !== this.#id))
      return;
    if (this.#leading) {
      // Two leaders without locks: the smaller term stays. With locks only a former leader still sends.
      if (this.#lease && this.#term !== undefined && term < this.#term) this.#lease.yield();
      return;
    }
    this.#election.heard();
    this.#unanswered = 0;
    this.#cancelTakeOver();
    if (message.type === 'hello') this.#follow(message);
    else if (term !== this.#term) this.#want(true);
    else if (message.type === 'feed') {
      if (message.seq <= this.#seq) return;
      // Something is missing: this tab has to ask for the position of the stream again.
      if (message.seq > this.#seq + 1) this.#want(true);
      else {
        this.#seq = message.seq;
        this.#host.apply(message.message, this.#following.signal);
      }
    }
  }

  #follow({ term, seq, topics, position, state }: Extract<TabMessage, { type: 'hello' }>): void {
    if (term !== this.#term) {
      this.#forgetTerm();
      this.#term = term;
      this.#want(false);
    }
    this.#seq = seq;
    const { signal } = this.#following;
    this.#host.apply({ type: 'state', state }, signal);
    this.#host.apply({ type: 'begin', topics, from: position, resumed: true, anew: true }, signal);
    this.#host.apply({ type: 'position', position }, signal);
  }
}
