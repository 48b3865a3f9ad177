// Package journal is the load generator's memory: who was connected when, what was published, who received it.
//
// A run leaves two files in raw/. history.jsonl.gz is the evidence: one JSON object per line, from which reports/
// recomputes every figure. latency.hlog is the shape: one HdrHistogram per second and series, for the tools of that
// world. Nothing here judges; an observation is written as it was made.
//
// # The history
//
// Lines have a fixed order of keys, so that a line has one spelling and reading is as strict as writing:
//
//	{"e":"run","schema":"wedsync.history/1","t":1,"wall_ns":1763873000000000000,"seed":7}          always first
//	{"e":"vendor","t":2,"w":"w001","v":"w001/planner-1","type":"planner","homes":2}                before all else of it
//	{"e":"session","t":3,"v":"w001/planner-1","s":1,"region":"eu-west","state":"joined","why":""}
//	{"e":"arrived","t":4,"v":"w001/planner-1"}            from here on the vendor must receive
//	{"e":"pub","t":5,"id":"…/u1","w":"w001","v":"w001/planner-1","lane":"urgent","sched":5}
//	{"e":"done","t":6,"id":"…/u1","out":"ok","via":"eu-west","held":["eu-west","us-east"],"why":""}
//	{"e":"recv","t":6,"v":"w001/florist-1","s":1,"id":"…/u1","via":"us-east"}       what the application got
//	{"e":"dup","t":7,"v":"w001/florist-1","s":2,"id":"…/u1","via":"eu-west","same":false}   what dedup held back
//	{"e":"bulk","t":7,"id":"…/b1","w":"w001","v":"w001/photographer-1",…,"got":[-1,4210,-1]} a photo and all who have it
//	{"e":"stall","t":7,"v":"w001/florist-1","on":true}    from here on the vendor does not read its sockets
//	{"e":"lag","t":8,"max_ns":120000}                     how late the generator itself was, once a second
//	{"e":"leaving","t":9,"v":"w001/planner-1"}            an explicit leave: the intent to receive ends
//	{"e":"end","t":10,"wall_ns":…,"pubs":1,"dones":1,"recvs":1,"dups":1,"dropped":0}          always last
//
// A message of the bulk lane is one line, written when nothing more is awaited of it: there are ten times as many of them
// as of all others, and a line for each delivery would bury the rest. Its "got" has a place for each vendor of the
// wedding in the order of their declaration: microseconds from t to the first receipt, -1 for none. Only what an ordinary
// bulk message does not do has lines of its own: a receipt after that line, one by replay, one that was shown before
// (recv), and a copy that the same session had brought before (dup). Other copies are counted in "copies".
//
// All times are CLOCK_MONOTONIC nanoseconds (internal/clock). Lines are in the order in which they were noted, which
// is almost, but not exactly, the order of t. A file without its end line was cut off: what it holds is true, but it is
// not all ([ErrTruncated]).
package journal

// Schema names the version of the format in the first line. Version 1 knew neither bulk nor stalls nor the state
// caught-up; it is still read.
const (
	Schema   = "wedsync.history/2"
	schemaV1 = "wedsync.history/1"
)

// The files of a run, relative to the folder given to Open.
const (
	HistoryFile = "raw/history.jsonl.gz"
	LatencyFile = "raw/latency.hlog"
)

// Kind says what a record tells; its String is the value of "e".
type Kind uint8

// The kinds of records.
const (
	Run Kind = iota
	Vendor
	Session
	Arrived
	Leaving
	Pub
	Done
	Recv
	Dup
	Bulk
	Stall
	Lag
	End
	kinds // how many there are
)

var kindNames = [kinds]string{"run", "vendor", "session", "arrived", "leaving", "pub", "done", "recv", "dup", "bulk", "stall", "lag",
	"end"}

func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// States of a session, in the order in which a healthy one runs through them. CaughtUp is the server's word that it has
// sent what the vendor had missed. Left is a session that ended by choice.
const (
	Dialing  = "dialing"
	Opened   = "opened"
	Joined   = "joined"
	CaughtUp = "caught-up"
	Left     = "left"
	Closed   = "closed"
)

// Lanes of a message. BulkLane is that of a bulk record, which does not name it.
const (
	Urgent   = "urgent"
	Normal   = "normal"
	BulkLane = "bulk"
)

// Outcomes of a publish. Info is the honest third: no answer in time, the message may or may not be out.
const (
	OK   = "ok"
	Fail = "fail"
	Info = "info"
)

// Record is one line. Which fields a kind uses stands in its layout; the others are zero.
type Record struct {
	Kind Kind
	T    int64 // when it happened

	Schema string // run
	WallNS int64  // run, end: the wall clock at T
	Seed   uint64 // run

	Wedding string // vendor, pub, bulk
	Vendor  string // all of a vendor; pub, bulk: the publisher
	Type    string // vendor: florist, planner, …
	Homes   int64  // vendor: 1 or 2

	Session int64  // session, recv, dup: 1, 2, 3… per vendor
	Region  string // session
	State   string // session
	Why     string // session, done, bulk

	ID    string // pub, done, recv, dup, bulk
	Lane  string // pub
	Sched int64  // pub, bulk: when it should have been sent

	Out  string   // done, bulk
	Via  string   // done, bulk, recv, dup: the region that answered or delivered
	Held []string // done: the regions that hold it

	Done   int64   // bulk: when it was answered
	Bytes  int64   // bulk: of its payload
	Copies int64   // bulk: how many copies over another session were held back by then
	Got    []int64 // bulk: when each vendor of the wedding first had it, µs after T; -1: not

	Same     bool // dup: this very session had delivered the id before
	Replayed bool // recv, dup

	On bool // stall: the vendor stops reading; false: it reads again

	MaxNS int64 // lag

	Pubs, Dones, Recvs, Dups int64 // end: how many lines of the kind precede it
	Bulks                    int64 // end: the same
	Dropped                  int64 // end: records lost because the disk was slower than the run; must be 0
}
