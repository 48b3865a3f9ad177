package xk6wedsync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

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
		common.Throw(rt, common.NewInitContextError(
			"a Wedding can be made in a scenario's function only, not at the top of the script"))
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
		"update": x.update, "bulk": x.bulk, "flood": x.flood, "schedule": x.schedule, "leave": x.leave} {
		if err := o.Set(name, value); err != nil {
			common.Throw(rt, err)
		}
	}
	return o
}

// arrive({within}) resolves when every vendor is there.
func (x *wedding) arrive(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	o := readOptions(rt, "arrive", call.Argument(0))
	var within time.Duration
	o.duration("within", &within)
	if within < 0 {
		o.fail("within should not be negative")
	}
	if err := o.done(); err != nil {
		common.Throw(rt, err)
	}
	return rt.ToValue(x.m.promise(x.w, func(ctx context.Context) (any, error) {
		err := x.w.Arrive(ctx, within)
		x.collector.push() // so that a short run shows its vendors too
		return nil, err
	}))
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
	readSchedule(o, &cfg)
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

func readSchedule(o *options, cfg *fleet.ScheduleConfig) {
	o.duration("every", &cfg.Every)
	o.duration("for", &cfg.For)
	o.duration("jitter", &cfg.Jitter)
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
