package clock

import (
	"testing"
	"time"
)

func TestOfAgreesWithNow(t *testing.T) {
	before := Now()
	at := Of(time.Now())
	after := Now()
	// The anchor was read at two instants; their distance is the error of every conversion.
	const slack = int64(10 * time.Millisecond)
	if at < before-slack || at > after+slack {
		t.Fatalf("Of(now) = %d, want between %d and %d", at, before, after)
	}
}

func TestOfKeepsDistances(t *testing.T) {
	now := time.Now()
	if d := Of(now.Add(time.Second)) - Of(now); d != int64(time.Second) {
		t.Fatalf("a second apart became %d ns", d)
	}
}

func TestReadIsBothClocks(t *testing.T) {
	a := Read()
	if w := time.Now().UnixNano() - a.WallNS; w < 0 || w > int64(time.Minute) {
		t.Fatalf("wall clock is %d ns off", w)
	}
	if m := Now() - a.MonoNS; m < 0 || m > int64(time.Minute) {
		t.Fatalf("monotonic clock is %d ns off", m)
	}
}
