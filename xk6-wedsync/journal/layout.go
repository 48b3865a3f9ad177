package journal

// key is one JSON key of a line. Encoder and parser share the keys and the layouts, so they cannot disagree.
type key uint8

const (
	kT key = iota
	kWallNS
	kHomes
	kSession
	kSched
	kDone
	kBytes
	kCopies
	kMaxNS
	kPubs
	kDones
	kRecvs
	kDups
	kBulks
	kDropped
	kSchema // from here on strings
	kWedding
	kVendor
	kType
	kRegion
	kState
	kWhy
	kID
	kLane
	kOut
	kVia
	kSeed // and the ones of a type of their own
	kHeld
	kGot
	kSame
	kReplayed
	kOn
	keys
)

// keyText holds what precedes a value: a comma, the key, a colon.
var keyText = [keys]string{
	kT: `,"t":`, kWallNS: `,"wall_ns":`, kHomes: `,"homes":`, kSession: `,"s":`, kSched: `,"sched":`, kDone: `,"done":`,
	kBytes: `,"bytes":`, kCopies: `,"copies":`, kMaxNS: `,"max_ns":`,
	kPubs: `,"pubs":`, kDones: `,"dones":`, kRecvs: `,"recvs":`, kDups: `,"dups":`, kBulks: `,"bulks":`, kDropped: `,"dropped":`,
	kSchema: `,"schema":`, kWedding: `,"w":`, kVendor: `,"v":`, kType: `,"type":`, kRegion: `,"region":`, kState: `,"state":`,
	kWhy: `,"why":`, kID: `,"id":`, kLane: `,"lane":`, kOut: `,"out":`, kVia: `,"via":`,
	kSeed: `,"seed":`, kHeld: `,"held":`, kGot: `,"got":`, kSame: `,"same":`, kReplayed: `,"replayed":`, kOn: `,"on":`,
}

// layouts is the order of keys of each kind. Two keys may be absent, see absent.
var layouts = [kinds][]key{
	Run:     {kSchema, kT, kWallNS, kSeed},
	Vendor:  {kT, kWedding, kVendor, kType, kHomes},
	Session: {kT, kVendor, kSession, kRegion, kState, kWhy},
	Arrived: {kT, kVendor},
	Leaving: {kT, kVendor},
	Pub:     {kT, kID, kWedding, kVendor, kLane, kSched},
	Done:    {kT, kID, kOut, kVia, kHeld, kWhy},
	Recv:    {kT, kVendor, kSession, kID, kVia, kReplayed},
	Dup:     {kT, kVendor, kSession, kID, kVia, kSame, kReplayed},
	Bulk:    {kT, kID, kWedding, kVendor, kSched, kBytes, kDone, kOut, kVia, kWhy, kCopies, kGot},
	Stall:   {kT, kVendor, kOn},
	Lag:     {kT, kMaxNS},
	End:     {kT, kWallNS, kPubs, kDones, kRecvs, kDups, kBulks, kDropped},
}

// absent tells that a key is not written, because its value goes without saying.
func (r *Record) absent(k key) bool {
	return k == kReplayed && !r.Replayed || k == kBulks && r.Bulks == 0
}

// integer returns the field of an integer key, nil for another.
func (r *Record) integer(k key) *int64 {
	switch k {
	case kT:
		return &r.T
	case kWallNS:
		return &r.WallNS
	case kHomes:
		return &r.Homes
	case kSession:
		return &r.Session
	case kSched:
		return &r.Sched
	case kDone:
		return &r.Done
	case kBytes:
		return &r.Bytes
	case kCopies:
		return &r.Copies
	case kMaxNS:
		return &r.MaxNS
	case kPubs:
		return &r.Pubs
	case kDones:
		return &r.Dones
	case kRecvs:
		return &r.Recvs
	case kDups:
		return &r.Dups
	case kBulks:
		return &r.Bulks
	case kDropped:
		return &r.Dropped
	}
	return nil
}

// text returns the field of a string key, nil for another.
func (r *Record) text(k key) *string {
	switch k {
	case kSchema:
		return &r.Schema
	case kWedding:
		return &r.Wedding
	case kVendor:
		return &r.Vendor
	case kType:
		return &r.Type
	case kRegion:
		return &r.Region
	case kState:
		return &r.State
	case kWhy:
		return &r.Why
	case kID:
		return &r.ID
	case kLane:
		return &r.Lane
	case kOut:
		return &r.Out
	case kVia:
		return &r.Via
	}
	return nil
}

// words lists the values that a key may have; nil means any.
func words(k key) []string {
	switch k {
	case kSchema:
		return []string{Schema, schemaV1}
	case kState:
		return []string{Dialing, Opened, Joined, CaughtUp, Left, Closed}
	case kLane:
		return []string{Urgent, Normal}
	case kOut:
		return []string{OK, Fail, Info}
	}
	return nil
}
