package reports

import (
	"github.com/wedsync/wedsync/reports/check"
	"github.com/wedsync/wedsync/reports/claim"
)

// SummarySchema names the version of summary.json.
const SummarySchema = "wedsync.summary/1"

// Summary is every figure of a run, computed from the inputs of its bundle and from nothing else. Times
// within it are nanoseconds. A null in place of a latency is a message that never came, or that there
// were none at all: the counts beside it tell which.
type Summary struct {
	Schema  string        `json:"schema"`
	Drill   string        `json:"drill"`
	Title   string        `json:"title"`
	RunID   string        `json:"run_id"`
	Verdict claim.Verdict `json:"verdict"`
	Says    string        `json:"says"` // the verdict in one sentence

	Claims []Row   `json:"claims"`
	Checks []Check `json:"checks"` // of the run itself: is there anything to judge, and can it be believed

	Latency    []Curve            `json:"latency"` // per lane and population
	Phases     []PhaseRow         `json:"phases"`
	Delivery   Delivery           `json:"delivery"`
	Answers    []AnswerRow        `json:"answers"`
	Holding    Holding            `json:"holding"`
	Failovers  []FailoverRow      `json:"failovers"`
	Injections []InjectionRow     `json:"injections"`
	Generator  Generator          `json:"generator"`
	Flaws      map[claim.Flaw]int `json:"flaws"`    // all of them
	Problems   []Problem          `json:"problems"` // the first of each class
	Fleet      Fleet              `json:"fleet"`
	Inputs     []File             `json:"inputs"`

	// What not every run has. A run without it has no such key, and its files are those of the version before.
	Bulk       *BulkRow      `json:"bulk,omitempty"`
	Moves      *MoveRow      `json:"moves,omitempty"`
	Pauses     *PauseRow     `json:"pauses,omitempty"`
	Recoveries []RecoveryRow `json:"recoveries,omitempty"` // of drills with a claim of kind failover
	Nodes      []NodeRow     `json:"nodes,omitempty"`      // over the measured span
	Trends     []TrendRow    `json:"trends,omitempty"`     // of the flat claims

	manifest *Manifest
	charts   charts
}

// Row is one claim, judged.
type Row struct {
	claim.Claim
	Limit    string        `json:"limit"`
	Measured string        `json:"measured"`
	N        int           `json:"n"`    // independent observations
	Unit     string        `json:"unit"` // of N: messages, publishes, injections
	Missed   int           `json:"missed"`
	Upper95  *float64      `json:"miss_rate_upper_95"` // Clopper-Pearson, one-sided; of the next one
	Verdict  claim.Verdict `json:"verdict"`
	Source   []string      `json:"source"` // raw files that the figure is computed from
	Why      []string      `json:"why"`    // what decided, worst first

	weight claim.Weight
}

// Check is one check of the run itself.
type Check struct {
	ID      string        `json:"id"`
	Says    string        `json:"says"`
	Verdict claim.Verdict `json:"verdict"`
	Why     []string      `json:"why"`
}

// Curve is the latency distribution of one lane and population over the measured span.
type Curve struct {
	Lane       string           `json:"lane"`
	Population claim.Population `json:"population"`
	Messages   int              `json:"messages"`
	Due        int              `json:"due"`
	Lost       int              `json:"lost"`
	Over200    int              `json:"over_200ms"` // received, but later than that
	P50        *int64           `json:"p50_ns"`
	P90        *int64           `json:"p90_ns"`
	P99        *int64           `json:"p99_ns"`
	P999       *int64           `json:"p999_ns"`
	Max        *int64           `json:"max_ns"`
	ServiceP99 *int64           `json:"service_p99_ns"` // from actual instead of scheduled send

	latencies *check.Latencies
}

// Received is how many of the due deliveries happened.
func (c *Curve) Received() int { return c.Due - c.Lost }

// PhaseRow is one phase of one cycle and lane.
type PhaseRow struct {
	Phase     claim.Phase `json:"phase"`
	Cycle     int         `json:"cycle"`
	StartNS   int64       `json:"start_ns"` // since the first measured phase
	EndNS     int64       `json:"end_ns"`
	Messages  int         `json:"messages"`
	Due       int         `json:"due"`
	Displaced int         `json:"displaced"`
	Stalled   int         `json:"stalled,omitempty"`
	Over200   int         `json:"connected_over_200ms"`
	Lost      int         `json:"lost"`
	P50       *int64      `json:"connected_p50_ns"`
	P99       *int64      `json:"connected_p99_ns"`
	Max       *int64      `json:"connected_max_ns"`
	OKMax     *int64      `json:"ok_max_ns"`
}

// Delivery accounts for every message and copy of the whole run, warm-up and drain included.
type Delivery struct {
	Published    int `json:"published"`
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	Unanswered   int `json:"unanswered"`
	Recovered    int `json:"unanswered_delivered"`
	Partial      int `json:"unanswered_partial"`
	Vanished     int `json:"unanswered_vanished"`

	Due        int `json:"due"`
	Received   int `json:"received"`
	Lost       int `json:"lost"`
	LostPrefix int `json:"lost_prefix"` // before the first that the recipient has of this publisher: state thrown away
	LostMiddle int `json:"lost_middle"` // a real hole
	LostSuffix int `json:"lost_suffix"` // after the last one: a dead recipient or a slow drain

	Shown       int `json:"shown"` // to applications
	ByReplay    int `json:"shown_by_replay"`
	ShownTwice  int `json:"shown_twice"`
	Withheld    int `json:"withheld"` // known ids that clients held back
	SecondWay   int `json:"withheld_other_session"`
	SentTwice   int `json:"sent_twice_live"`
	Echoed      int `json:"echoed"`
	Overtaken   int `json:"overtaken_concurrent"`
	Unexplained int `json:"due_while_unexplained_offline"`
}

// AnswerRow is how the publishers of a lane were answered over the measured span.
type AnswerRow struct {
	Lane      string `json:"lane"`
	Published int    `json:"published"`
	OK        int    `json:"ok"`
	Refused   int    `json:"refused"`
	Unknown   int    `json:"unanswered"`
	P50       *int64 `json:"p50_ns"`
	P99       *int64 `json:"p99_ns"`
	Max       *int64 `json:"max_ns"`
	StallNS   int64  `json:"stall_ns"` // longest time without any ok while publishes were pending
}

// Holding says where the acknowledged messages are.
type Holding struct {
	Acknowledged int      `json:"acknowledged"`
	TwoRegions   int      `json:"in_two_regions"`
	BeforeOK     int      `json:"before_ok"`
	Returned     []string `json:"regions_returned"`
	Complete     int      `json:"on_every_returned_node"`
	Nodes        []string `json:"nodes_read"`
	Missing      []string `json:"nodes_missing"`
	MarginMin    *int64   `json:"margin_min_ns"` // ok minus store time in the second region, the tightest
}

// FailoverRow sums up what the sessions of one kind of vendor went through in one injection.
type FailoverRow struct {
	Injection  uint64  `json:"injection"`
	Cycle      int     `json:"cycle"`
	Population string  `json:"population"`
	Sessions   int     `json:"sessions"`
	Noticed    int     `json:"noticed"`
	Rejoined   int     `json:"rejoined"`
	Detect     Figures `json:"detect"`
	Rejoin     Figures `json:"rejoin"`
	CatchUp    Figures `json:"catch_up"`
	Gap        Figures `json:"gap"`
	Replayed   int     `json:"replayed"`
}

// Figures are the percentiles of a few values.
type Figures struct {
	P50 *int64 `json:"p50_ns"`
	P99 *int64 `json:"p99_ns"`
	Max *int64 `json:"max_ns"`
}

// InjectionRow is one fault. Times are since the first measured phase, null if it did not come to that.
type InjectionRow struct {
	Number    uint64   `json:"number"`
	Cycle     int      `json:"cycle"`
	What      string   `json:"what"`
	Targets   []string `json:"targets"`
	Regions   []string `json:"regions"`
	Intent    *int64   `json:"intent_ns"`
	Injected  *int64   `json:"injected_ns"`
	Proved    *int64   `json:"proved_ns"`
	Reverting *int64   `json:"reverting_ns"`
	Reverted  *int64   `json:"reverted_ns"`
	Gone      *int64   `json:"gone_ns"`
	Urgent    int      `json:"urgent_messages"` // scheduled while it was in force
	Trouble   string   `json:"trouble"`
	ActionProof
}

// Generator is the state of the instrument over the measured span.
type Generator struct {
	Sends      int     `json:"sends"`
	SendP50    *int64  `json:"send_lag_p50_ns"`
	SendP99    *int64  `json:"send_lag_p99_ns"`
	SendMax    *int64  `json:"send_lag_max_ns"`
	Seconds    int     `json:"seconds"`
	Stalled    int     `json:"stalled_seconds"`
	WorstNS    int64   `json:"worst_lag_ns"`
	Exit       int     `json:"exit"`
	Histograms int64   `json:"histogram_count"` // values in raw/latency.hlog
	Expected   int64   `json:"histogram_expected"`
	Share      float64 `json:"stalled_share"`
}

// Problem is one flaw, with the message to look for in the raw history.
type Problem struct {
	Flaw    claim.Flaw  `json:"flaw"`
	Message string      `json:"id"`
	Vendor  string      `json:"vendor"`
	Phase   claim.Phase `json:"phase"`
	AtNS    int64       `json:"at_ns"` // since the first measured phase
	Why     string      `json:"why"`
}

// Fleet is who took part.
type Fleet struct {
	Weddings    int `json:"weddings"`
	Vendors     int `json:"vendors"`
	DualHomed   int `json:"dual_homed"`
	SingleHomed int `json:"single_homed"`
	Sessions    int `json:"sessions"`
}
