/**
 * k6/x/wedsync plays weddings: one virtual user is one wedding, its vendors' sockets live in Go.
 *
 * Durations are strings like '1.5s' or numbers of milliseconds. Unknown options are errors. Latencies count from the
 * instant at which a message was due (`at`), not from its sending.
 *
 * Metrics (tags region, phase, vendor_type, path = live | replay where they apply):
 *   wedsync_urgent_latency, wedsync_update_latency     trends: due instant to receipt, per recipient
 *   wedsync_ok_latency                                 trend: due instant to the server's ok; tag lane
 *   wedsync_{urgent,update}_sent                       counters of messages
 *   wedsync_{urgent,update}_failed                     counters of messages without an ok
 *   wedsync_{urgent,update}_delivered, _late, _lost    counters of (message, recipient) pairs
 *   wedsync_duplicates, wedsync_strays                 counters that should stay 0
 *   wedsync_failovers, wedsync_vendors                 counter of lost sockets; gauge of vendors at work
 *
 * A threshold passes where there is no data: always add one like wedsync_urgent_delivered: ['count>0'].
 */
declare module 'k6/x/wedsync' {
  export type Duration = string | number;

  export interface Vendor {
    /** Unique in the wedding: letters, digits and . _ : - */
    name: string;
    /** Its trade: planner, venue, florist, …; the tag vendor_type. */
    type: string;
    /** In how many regions it keeps a socket: 1 or 2. */
    homes?: 1 | 2;
  }

  export interface WeddingOptions {
    /** 'eu-west=ws://host:port/socket,us-east=ws://…', as in WEDSYNC_REGIONS, or an object. Two homes need two regions. */
    regions: string | Record<string, string | string[]>;
    /** How many, by trades, a planner first; or who. Default 12. */
    vendors?: number | Vendor[];
    /** Homes of a vendor that does not say. Default 2, or 1 where there is one region. */
    homes?: 1 | 2;
    /** Share of the numbered vendors, planners aside, that have one home: 0 to 1. Default 0. */
    singleHomed?: number;
    /** Name of the wedding in the run. Default w001, w002, … by virtual user, and a suffix from the second iteration on. */
    id?: string;
    /** Number of the wedding, which spreads weddings over the regions. Default: the virtual user's, from 0. */
    index?: number;
    /** Decides everything that is drawn. Default 0. */
    seed?: number;
    /** The channel, without "realtime:". Default wedding:<id>. */
    topic?: string;
    /** Joins it as a private channel. Default false. */
    private?: boolean;
    /** A JWT. */
    token?: string;
    /** Protocol version. Default 2.0.0. */
    version?: '1.0.0' | '2.0.0';
    /** What counts as late. Default 200 ms for urgent messages and 500 ms for updates; one duration is for urgent ones. */
    sla?: Duration | { urgent?: Duration; update?: Duration };
    /** How long a receipt waits for the recipients. Default 2s. */
    limit?: Duration;
    /** How long a publish without an answer is tried again. Default 10s. */
    giveUp?: Duration;
    /** How long leave() waits for what is under way. Default 10s; keep it under the scenario's gracefulStop. */
    drain?: Duration;
    /** How long arrive() waits for the last vendor. Default 30s. */
    arrival?: Duration;
    /** How long one attempt to connect may take. Default 1s. */
    handshake?: Duration;
    /** How many vendors connect at a time. Default 4. */
    parallel?: number;
  }

  export interface Receipt {
    id: string;
    /** ok; fail: refused, nobody should have it; info: no answer, anybody may have it; '': no answer yet. */
    outcome: 'ok' | 'fail' | 'info' | '';
    why: string;
    expected: number;
    delivered: number;
    late: number;
    /** Recipients whose receipt the server has passed back to the planner so far; 0 for other senders. */
    confirmed: number;
    /** Names of those who must have it and have not. */
    missing: string[];
    slowestMs: number;
    okMs: number;
    /** The region that gave the ok. */
    via: string;
    /** The regions that hold the message. */
    held: string[];
  }

  export interface Schedule {
    /**
     * Resolves at the next due instant, to that instant (Unix milliseconds), and to null when the time is up, the drill
     * says stop, or the wedding leaves. Who comes late gets the missed instants at once: the schedule never moves.
     */
    next(): Promise<number | null>;
  }

  export class Wedding {
    constructor(options: WeddingOptions);
    readonly id: string;
    readonly vendors: Required<Vendor>[];
    /** Connects everybody; resolves when every home of every vendor is joined. */
    arrive(): Promise<void>;
    /** Tells everybody on the urgent lane. Resolves when all have it and the ok is there, or after `limit`. */
    urgent(from: string | Vendor, text: string, options?: { at?: number }): Promise<Receipt>;
    /** Publishes an ordinary event. The payload must have a JSON form. Resolves like urgent(). */
    update(from: string | Vendor, event: string, payload?: unknown, options?: { at?: number }): Promise<Receipt>;
    /** Begins at once; its first instant is moved by a share of `every` that the seed decides. */
    schedule(options: { every: Duration; for?: Duration; jitter?: Duration }): Schedule;
    /** Waits for what is under way, says goodbye and closes every socket. */
    leave(): Promise<void>;
  }

  /** Opens a stand-in for the servers in this process, until the iteration ends; for trying scripts. */
  export function rehearse(...regions: string[]): Record<string, string>;
}
