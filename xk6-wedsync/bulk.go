package xk6wedsync

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/grafana/sobek"
	"go.k6.io/k6/js/common"

	"github.com/wedsync/wedsync/xk6-wedsync/fleet"
)

// bulk(from, event, payload, {at}) resolves to the receipt. The payload {bytes: n} stands for a photo of n bytes.
func (x *wedding) bulk(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	from, event := x.text("bulk", "from", call.Argument(0)), x.text("bulk", "event", call.Argument(1))
	payload, err := x.photo(call.Argument(2))
	if err != nil {
		common.Throw(rt, fmt.Errorf("bulk: %w", err))
	}
	at, err := fromScript(rt, "bulk", call.Argument(3))
	if err != nil {
		common.Throw(rt, err)
	}
	return x.receipt(x.w.Bulk(from, event, payload, at))
}

// photo reads a payload, or the size of one.
func (x *wedding) photo(v sobek.Value) ([]byte, error) {
	if absent(v) {
		return []byte("{}"), nil
	}
	if o, ok := v.(*sobek.Object); ok {
		if keys := o.Keys(); len(keys) == 1 && keys[0] == "bytes" {
			n, ok := number(o.Get("bytes"))
			if !ok || n != float64(int(n)) {
				return nil, fmt.Errorf("bytes should be a whole number, got %s", o.Get("bytes"))
			}
			return x.m.fleet.Photo(int(n))
		}
	}
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("the payload has no JSON form: %w", err)
	}
	return payload, nil
}

// flood({from, event, payload, every, for, jitter}) resolves to the number of messages when the schedule is over.
func (x *wedding) flood(call sobek.FunctionCall) sobek.Value {
	rt := x.m.vu.Runtime()
	o := readOptions(rt, "flood", call.Argument(0))
	cfg := fleet.FloodConfig{Event: "photo"}
	switch v := o.get("from"); {
	case v == nil:
		o.fail("from is missing: a vendor, or a list of them")
	case isArray(v):
		list := v.(*sobek.Object)
		for _, i := range list.Keys() {
			cfg.From = append(cfg.From, x.text("flood", "from", list.Get(i)))
		}
	default:
		cfg.From = []string{x.text("flood", "from", v)}
	}
	o.str("event", &cfg.Event)
	var err error
	if cfg.Payload, err = x.photo(o.get("payload")); err != nil {
		o.fail("%w", err)
	}
	readSchedule(o, &cfg.Schedule)
	if err := o.done(); err != nil {
		common.Throw(rt, err)
	}
	return rt.ToValue(x.m.promise(x.w, func(ctx context.Context) (any, error) {
		sent, err := x.w.Flood(ctx, cfg)
		if err != nil {
			return nil, fmt.Errorf("flood: %w", err)
		}
		return sent, nil
	}))
}
