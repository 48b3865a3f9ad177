package journal

// key is one JSON key of a line. Encoder and parser share the keys and the layouts, so they cannot disagree.
type key uint8

const (
	kT key = iota
	kWallNS
	kHomes
	kSession
	kSched
	kMaxNS
	kPubs
	kDones
	kRecvs
	kDups
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
	kSame
	kReplayed
	keys
)

// keyText holds what precedes a value: a comma, the key, a colon.
var keyText = [keys]string{
	kT: `,"t":`, kWallNS: `,"wall_ns":`, kHomes: `,"homes":`, kSession: `,"s":`, kSched: `,"sched":`, kMaxNS: `,"max_ns":`,
	kPubs: `,"pubs":`, kDones: `,"dones":`, kRecvs: `,"recvs":`, kDups: `,"dups":`, kDropped: `,"dropped":`,
	kSchema: `,"schema":`, kWedding: `,"w":`, kVendor: `,"v":`, kType: `,"type":`, kRegion: `,"region":`, kState: `,"state":`,
	kWhy: `,"why":`, kID: `,"id":`, kLane: `,"lane":`, kOut: `,"out":`, kVia: `,"via":`,
	kSeed: `,"seed":`, kHeld: `,"held":`, kSame: `,"same":`, kReplayed: `,"replayed":`,
}

// layouts is the order of keys of each kind. kReplayed alone may be absent: it is written only when true.
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
	Lag:     {kT, kMaxNS},
	End:     {kT, kWallNS, kPubs, kDones, kRecvs, kDups, kDropped},
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
		return []string{Schema}
	case kState:
		return []string{Dialing, Opened, Joined, Left, Closed}
	case kLane:
		return []string{Urgent, Normal}
	case kOut:
		return []string{OK, Fail, Info}
	}
	return nil
}
