package xk6wedsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

	"github.com/wedsync/wedsync/protocol"
	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// wedding is the JavaScript object.
type wedding struct {
	m         *module
	w         *fleet.Wedding
	collector *collector
}

// newWedding is the constructor.
func (m *module) newWedding(call sobek.ConstructorCall) *sobek.Object {
	rt := m.vu.Runtime()
	state := m.vu.State()
	if state == nil {
		common.Throw(rt, common.NewInitContextError("a Wedding can be made in a scenario's function only, not at the top of the script"))
	}
	cfg, err := m.weddingConfig(call.Argument(0))
	if err != nil {
		common.Throw(rt, err)
	}
	if state.Dialer != nil {
		cfg.NetDial = state.Dialer.DialContext
	}
	if state.TLSConfig != nil {
		cfg.TLS = state.TLSConfig.Clone()
		cfg.TLS.NextProtos = []string{"http/1.1"} // a WebSocket begins as HTTP/1.1
	}
	c := newCollector(m.vu.Context(), state, m.metrics, m.fleet)
	cfg.Observe = c.observe
	x := &wedding{m: m, collector: c}
	if x.w, err = m.fleet.NewWedding(m.vu.Context(), cfg); err != nil {
		common.Throw(rt, fmt.Errorf("new Wedding: %w", err))
	}
	c.start(x.w)
	return x.object(rt)
}

// object is what the script holds.
func (x *wedding) object(rt *sobek.Runtime) *sobek.Object {
	vendors := make([]any, 0, len(x.w.Vendors()))
	for _, v := range x.w.Vendors() {
		vendors = append(vendors, map[string]any{"name": v.Name, "type": v.Type, "homes": v.Homes})
	}
	o := rt.NewObject()
	for name, value := range map[string]any{"id": x.w.ID(), "vendors": vendors, "arrive": x.arrive, "urgent": x.urgent,
		"update": x.update, "schedule": x.schedule, "leave": x.leave} {
		if err := o.Set(name, value); err != nil {
			common.Throw(rt, err)
		}
	}
	return o
}

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
	o.int("parallel", &cfg.Parallel)
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

func (x *wedding) arrive() *sobek.Promise {
	return x.m.promise(x.w, func(ctx context.Context) (any, error) {
		err := x.w.Arrive(ctx)
		x.collector.push() // so that a short run shows its vendors too
		return nil, err
	})
}

// urgent(from, text, {at}) resolves to the receipt.
func (x *wedding) urgent(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	from, text := x.text("urgent", "from", call.Argument(0)), x.text("urgent", "text", call.Argument(1))
	at, err := fromScript(rt, "urgent", call.Argument(2))
	if err != nil {
		common.Throw(rt, err)
	}
	return x.receipt(x.w.Urgent(from, text, at))
}

// update(from, event, payload, {at}) resolves to the receipt.
func (x *wedding) update(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	from, event := x.text("update", "from", call.Argument(0)), x.text("update", "event", call.Argument(1))
	payload := []byte("{}")
	if v := call.Argument(2); !absent(v) {
		var err error
		if payload, err = json.Marshal(v); err != nil {
			common.Throw(rt, fmt.Errorf("update: the payload has no JSON form: %w", err))
		}
	}
	at, err := fromScript(rt, "update", call.Argument(3))
	if err != nil {
		common.Throw(rt, err)
	}
	return x.receipt(x.w.Update(from, event, payload, at))
}

// receipt promises what a publish comes to. The message is booked already, so a leave() in the script's next line waits
// for it.
func (x *wedding) receipt(m *fleet.Message, err error) sobek.Value {
	return x.m.vu.Runtime().ToValue(x.m.promise(x.w, func(ctx context.Context) (any, error) {
		if err != nil {
			return nil, err
		}
		return receiptOf(m.Wait(ctx)), nil
	}))
}

// text reads a string argument; a vendor object stands for its name.
func (x *wedding) text(method, name string, v sobek.Value) string {
	if s, ok := v.Export().(string); ok {
		return s
	}
	if o, ok := v.(*sobek.Object); ok && name == "from" {
		if s, ok := o.Get("name").Export().(string); ok {
			return s
		}
	}
	common.Throw(x.m.vu.Runtime(), fmt.Errorf("%s: %s should be a string, got %s", method, name, v))
	return ""
}

// schedule({every, for, jitter}) returns an object whose next() resolves to the next instant, or to null at the end.
func (x *wedding) schedule(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	o := readOptions(rt, "schedule", call.Argument(0))
	var cfg fleet.ScheduleConfig
	o.duration("every", &cfg.Every)
	o.duration("for", &cfg.For)
	o.duration("jitter", &cfg.Jitter)
	err := o.done()
	var s *fleet.Schedule
	if err == nil {
		if s, err = x.w.Schedule(cfg); err != nil {
			err = fmt.Errorf("schedule: %w", err)
		}
	}
	if err != nil {
		common.Throw(rt, err)
	}
	waiting := false // belongs to the event loop
	obj := rt.NewObject()
	err = obj.Set("next", func() *sobek.Promise {
		if waiting {
			common.Throw(rt, errors.New("schedule: next() was called again before it resolved: await it"))
		}
		waiting = true
		return x.m.promise(x.w, func(ctx context.Context) (any, error) {
			at, ok := s.Next(ctx)
			if !ok {
				return nil, nil
			}
			return toScript(at), nil
		}, func() { waiting = false })
	})
	if err != nil {
		common.Throw(rt, err)
	}
	return obj
}

// leave() drains, says goodbye, closes the sockets, and hands the last samples to k6.
func (x *wedding) leave() *sobek.Promise {
	return x.m.promise(x.w, func(ctx context.Context) (any, error) {
		err := x.w.Leave(ctx)
		<-x.collector.finished
		return nil, err
	})
}

// receipt is fleet.Receipt as scripts see it.
type receipt struct {
	ID        string   `js:"id"`
	Outcome   string   `js:"outcome"`
	Why       string   `js:"why"`
	Expected  int      `js:"expected"`
	Delivered int      `js:"delivered"`
	Late      int      `js:"late"`
	Confirmed int      `js:"confirmed"`
	Missing   []string `js:"missing"`
	SlowestMS float64  `js:"slowestMs"`
	OkMS      float64  `js:"okMs"`
	Via       string   `js:"via"`
	Held      []string `js:"held"`
}

func receiptOf(r fleet.Receipt) receipt {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	missing, held := r.Missing, r.Held
	if missing == nil {
		missing = []string{}
	}
	if held == nil {
		held = []string{}
	}
	return receipt{ID: r.ID, Outcome: r.Outcome, Why: r.Why, Expected: r.Expected, Delivered: r.Delivered, Late: r.Late,
		Confirmed: r.Confirmed, Missing: missing, SlowestMS: ms(r.Slowest), OkMS: ms(r.Answer), Via: r.Via, Held: held}
}
