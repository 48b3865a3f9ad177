/**
 * k6/x/wedsync plays weddings: one virtual user is one wedding, its vendors' sockets live in Go.
 *
 * Durations are strings like '1.5s' or numbers of milliseconds. Unknown options are errors. Latencies count from the
 * instant at which a message was due (`at`), not from its sending.
 *
 * Metrics (tags region, phase, vendor_type where they apply, and path = live | replay | stalled, the last for vendors that
 * had stopped reading):
 *   wedsync_{urgent,update,bulk}_latency               trends: due instant to receipt, per recipient
 *   wedsync_ok_latency                                 trend: due instant to the server's ok; tag lane
 *   wedsync_{urgent,update,bulk}_sent                  counters of messages
 *   wedsync_{urgent,update,bulk}_failed                counters of messages without an ok
 *   wedsync_{urgent,update}_delivered, _late, _lost    counters of (message, recipient) pairs
 *   wedsync_bulk_delivered, _shed                      the same; a bulk message is shed after 5 s, and never late or lost
 *   wedsync_duplicates, wedsync_strays                 counters that should stay 0
 *   wedsync_escalations                                counter of urgent messages that somebody had not confirmed in time, as planners were told
 *   wedsync_failovers, wedsync_moves                   counters of sockets that were lost, or left because a server asked for it
 *   wedsync_arrival_latency                            trend: from when a vendor came to its first join
 *   wedsync_vendors, wedsync_stalls                    gauge of vendors at work; counter of stalls
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
    /**
     * How long one attempt to connect, and the join after it, may take: longer than `handshake` where a server that is
     * stormed lets vendors wait in line. It holds for later attempts too. Default: handshake.
     */
    arriveTimeout?: Duration;
    /**
     * After how long without a sign of life a vendor gives a session up and fails over; it asks for one after three
     * fifths of it. Default 1s. A crowd of phones with stock clients is more patient, and costs less.
     */
    silence?: Duration;
    /** How many vendors connect at a time, unless arrive() says within. Default 4. */
    parallel?: number;
    /**
     * Lets a share of the vendors, planners aside, stop reading their sockets: each of them once in `every`, `for` a
     * while. TCP makes the server wait meanwhile. They must have everything in the end.
     */
    stalled?: { share: number; every: Duration; for: Duration };
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
    /**
     * Connects everybody; resolves when every home of every vendor is joined. With `within` the vendors come spread evenly
     * over that time, whether those before them are in or not.
     */
    arrive(options?: { within?: Duration }): Promise<void>;
    /** Tells everybody on the urgent lane. Resolves when all have it and the ok is there, or after `limit`. */
    urgent(from: string | Vendor, text: string, options?: { at?: number }): Promise<Receipt>;
    /** Publishes an ordinary event. The payload must have a JSON form. Resolves like urgent(). */
    update(from: string | Vendor, event: string, payload?: unknown, options?: { at?: number }): Promise<Receipt>;
    /**
     * Publishes an event on the bulk lane, of which nobody promises that it arrives. A payload of { bytes: n } stands for a
     * photo of n bytes. Resolves like urgent().
     */
    bulk(from: string | Vendor, event: string, payload?: unknown | { bytes: number }, options?: { at?: number }): Promise<Receipt>;
    /**
     * Publishes bulk messages by a schedule, `from` by turns; resolves to their number when the schedule is over. It is
     * what a loop over schedule() and bulk() would be, but runs in Go. The event is 'photo' if it has no other name.
     */
    flood(options: {
      from: string | Vendor | (string | Vendor)[];
      event?: string;
      payload?: unknown | { bytes: number };
      every: Duration;
      for?: Duration;
      jitter?: Duration;
    }): Promise<number>;
    /** Begins at once; its first instant is moved by a share of `every` that the seed decides. */
    schedule(options: { every: Duration; for?: Duration; jitter?: Duration }): Schedule;
    /** Waits for what is under way, says goodbye and closes every socket. */
    leave(): Promise<void>;
  }

  /** Resolves to true after a time, or to false as soon as the drill says stop, which sleep() would not notice. */
  export function wait(time: Duration): Promise<boolean>;

  /** Opens a stand-in for the servers in this process, until the iteration ends; for trying scripts. */
  export function rehearse(...regions: string[]): Record<string, string>;
}
