package xk6wedsync

import (
	"fmt"

	"github.com/grafana/sobek"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// weddingConfig reads the options of the constructor.
func (m *module) weddingConfig(v sobek.Value) (fleet.Config, error) {
	state := m.vu.State()
	number := state.VUIDGlobal
	if number == 0 {
		number = state.VUID
	}
	cfg := fleet.Config{ID: fmt.Sprintf("w%03d", number), Index: int(max(number, 1) - 1)}
	if state.Iteration > 0 {
		cfg.ID += fmt.Sprintf("-%d", state.Iteration)
	}
	o := readOptions(m.vu.Runtime(), "new Wedding", v)
	o.str("id", &cfg.ID)
	o.int("index", &cfg.Index)
	if cfg.Index < 0 {
		o.fail("index should not be negative")
	}
	var seed int
	o.int("seed", &seed)
	cfg.Seed = uint64(seed)
	o.str("topic", &cfg.Topic)
	o.bool("private", &cfg.Private)
	o.str("token", &cfg.Token)
	version := ""
	o.str("version", &version)
	if version != "" {
		var err error
		if cfg.Version, err = protocol.ParseVersion(version); err != nil {
			o.fail("version: %w", err)
		}
	}
	readSLA(o, &cfg)
	o.duration("limit", &cfg.Limit)
	o.duration("giveUp", &cfg.GiveUp)
	o.duration("drain", &cfg.Drain)
	o.duration("arrival", &cfg.Arrival)
	o.duration("handshake", &cfg.Handshake)
	o.duration("arriveTimeout", &cfg.Patience)
	o.duration("silence", &cfg.Silence)
	o.int("parallel", &cfg.Parallel)
	readStalled(o, &cfg)
	readRegions(o, &cfg)
	readVendors(o, &cfg)
	return cfg, o.done()
}

// readSLA reads a duration for urgent messages, or one for each lane.
func readSLA(o *options, cfg *fleet.Config) {
	v := o.get("sla")
	if v == nil {
		return
	}
	if d, err := duration(v); err == nil {
		cfg.UrgentSLA = d
		return
	}
	sla := readOptions(o.rt, o.what+": sla", v)
	sla.duration("urgent", &cfg.UrgentSLA)
	sla.duration("update", &cfg.UpdateSLA)
	if err := sla.done(); err != nil {
		o.errs = append(o.errs, err)
	}
}

// readStalled reads {share, every, for}.
func readStalled(o *options, cfg *fleet.Config) {
	v := o.get("stalled")
	if v == nil {
		return
	}
	cfg.Stalled = &fleet.Stalled{}
	stalled := readOptions(o.rt, o.what+": stalled", v)
	stalled.share("share", &cfg.Stalled.Share)
	stalled.duration("every", &cfg.Stalled.Every)
	stalled.duration("for", &cfg.Stalled.For)
	if err := stalled.done(); err != nil {
		o.errs = append(o.errs, err)
	}
}

// readRegions reads 'eu-west=ws://…,us-east=ws://…' or {'eu-west': url or [url, …], …}.
func readRegions(o *options, cfg *fleet.Config) {
	v := o.get("regions")
	if v == nil {
		o.fail("regions is missing: pass __ENV.WEDSYNC_REGIONS, as in eu-west=ws://host:port/socket")
		return
	}
	switch x := v.Export().(type) {
	case string:
		var err error
		if cfg.Regions, err = fleet.ParseRegions(x); err != nil {
			o.fail("%w", err)
		}
	case map[string]any:
		for _, name := range v.(*sobek.Object).Keys() { // in the script's order: it is the order of preference
			r := fleet.Region{Name: name}
			switch u := x[name].(type) {
			case string:
				r.URLs = []string{u}
			case []any:
				for _, one := range u {
					r.URLs = append(r.URLs, fmt.Sprint(one))
				}
			default:
				o.fail("regions: %s should be a URL or a list of them", name)
			}
			cfg.Regions = append(cfg.Regions, r)
		}
	default:
		o.fail("regions should be a string like eu-west=ws://host:port/socket or an object, got %s", v)
	}
}

// maxVendors bounds a wedding, against a slip of the keyboard.
const maxVendors = 10_000

// readVendors reads a number, or a list of {name, type, homes}.
func readVendors(o *options, cfg *fleet.Config) {
	homes := min(2, max(1, len(cfg.Regions)))
	o.int("homes", &homes)
	single := 0.0
	o.share("singleHomed", &single)
	v := o.get("vendors")
	if v == nil {
		cfg.Vendors = fleet.Vendors(len(fleet.Types), homes, single, cfg.Index, cfg.Seed)
		return
	}
	if n, ok := number(v); ok {
		if n < 1 || n > maxVendors || n != float64(int(n)) {
			o.fail("vendors should be a whole number from 1 to %d, got %s", maxVendors, v)
			return
		}
		cfg.Vendors = fleet.Vendors(int(n), homes, single, cfg.Index, cfg.Seed)
		return
	}
	if !isArray(v) {
		o.fail("vendors should be a number or a list of {name, type, homes}, got %s", v)
		return
	}
	if single > 0 {
		o.fail("singleHomed is for a number of vendors; in a list, give each vendor its homes")
	}
	list := v.(*sobek.Object)
	for _, i := range list.Keys() {
		x := fleet.Vendor{Homes: homes}
		each := readOptions(o.rt, fmt.Sprintf("%s: vendors[%s]", o.what, i), list.Get(i))
		each.str("name", &x.Name)
		each.str("type", &x.Type)
		each.int("homes", &x.Homes)
		if err := each.done(); err != nil {
			o.errs = append(o.errs, err)
		}
		cfg.Vendors = append(cfg.Vendors, x)
	}
}
