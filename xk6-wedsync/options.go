package xk6wedsync

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/sobek"
)

// options reads a JavaScript object strictly: each key is asked for once with its type, and done says what was wrong
// and which keys nobody asked for. Errors are collected, so that the script's author sees all of them.
type options struct {
	rt    *sobek.Runtime
	what  string // new Wedding, vendors[3]…, for messages
	obj   *sobek.Object
	known []string
	errs  []error
}

// readOptions takes undefined for an empty object.
func readOptions(rt *sobek.Runtime, what string, v sobek.Value) *options {
	o := &options{rt: rt, what: what}
	if absent(v) {
		return o
	}
	obj, ok := v.(*sobek.Object)
	if !ok || isArray(v) {
		o.fail("expected an object with options, got %s", v)
		return o
	}
	o.obj = obj
	return o
}

func absent(v sobek.Value) bool { return v == nil || sobek.IsUndefined(v) || sobek.IsNull(v) }

func isArray(v sobek.Value) bool {
	_, ok := v.Export().([]any)
	return ok
}

func (o *options) fail(format string, args ...any) {
	o.errs = append(o.errs, fmt.Errorf(o.what+": "+format, args...))
}

// get returns the value of a key, nil if it is absent.
func (o *options) get(key string) sobek.Value {
	o.known = append(o.known, key)
	if o.obj == nil {
		return nil
	}
	if v := o.obj.Get(key); !absent(v) {
		return v
	}
	return nil
}

func (o *options) str(key string, to *string) {
	if v := o.get(key); v != nil {
		s, ok := v.Export().(string)
		if !ok {
			o.fail("%s should be a string, got %s", key, v)
		}
		*to = s
	}
}

func (o *options) bool(key string, to *bool) {
	if v := o.get(key); v != nil {
		b, ok := v.Export().(bool)
		if !ok {
			o.fail("%s should be true or false, got %s", key, v)
		}
		*to = b
	}
}

func (o *options) int(key string, to *int) {
	if v := o.get(key); v != nil {
		n, ok := number(v)
		if !ok || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			o.fail("%s should be a whole number, got %s", key, v)
			return
		}
		*to = int(n)
	}
}

// share reads a number from 0 to 1.
func (o *options) share(key string, to *float64) {
	if v := o.get(key); v != nil {
		n, ok := number(v)
		if !ok || !(n >= 0 && n <= 1) {
			o.fail("%s should be a number from 0 to 1, got %s", key, v)
			return
		}
		*to = n
	}
}

// duration reads milliseconds or a string like '1.5s'.
func (o *options) duration(key string, to *time.Duration) {
	v := o.get(key)
	if v == nil {
		return
	}
	d, err := duration(v)
	if err != nil {
		o.fail("%s %w", key, err)
	}
	*to = d
}

func duration(v sobek.Value) (time.Duration, error) {
	if n, ok := number(v); ok && math.Abs(n) < float64(math.MaxInt64/int64(time.Millisecond)) {
		return time.Duration(n * float64(time.Millisecond)), nil
	}
	s, _ := v.Export().(string)
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("should be a duration like '1.5s' or a number of milliseconds, got %s", v)
	}
	return d, nil
}

// number returns a finite JavaScript number. A string that looks like one is none: it is what __ENV holds, and the
// author should convert it where he can name it.
func number(v sobek.Value) (float64, bool) {
	switch n := v.Export().(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	}
	return 0, false
}

// done returns everything that was wrong.
func (o *options) done() error {
	if o.obj != nil {
		for _, key := range o.obj.Keys() {
			if !slices.Contains(o.known, key) {
				o.fail("unknown option %q; the options are %s", key, strings.Join(o.known, ", "))
			}
		}
	}
	return errors.Join(o.errs...)
}
