package backbone

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/wedsync/wedsync/protocol"
)

func TestCursorsAreOfOneIncarnation(t *testing.T) {
	dir := t.TempDir()
	born, reborn := time.UnixMilli(1000).UTC(), time.UnixMilli(2000).UTC()
	open := func() *cursors {
		t.Helper()
		c, err := openCursors(dir)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := open()
	c.own(protocol.Urgent, place{born, 50})
	c.set(protocol.Urgent, "us-1", place{born, 7})
	if err := c.save(); err != nil {
		t.Fatal(err)
	}

	for name, tc := range map[string]struct {
		own         place
		incarnation time.Time
		want        uint64
	}{
		"as it was":                    {place{born, 50}, born, 7},
		"own log has grown":            {place{born, 90}, born, 7},
		"the peer's disk was replaced": {place{born, 50}, reborn, 0},
		"the own disk was replaced":    {place{reborn, 50}, born, 0},
		"the own log has lost its end": {place{born, 49}, born, 0},
		"both":                         {place{reborn, 0}, reborn, 0},
	} {
		c := open()
		c.own(protocol.Urgent, tc.own)
		if got := c.get(protocol.Urgent, "us-1", tc.incarnation); got != tc.want {
			t.Errorf("%s: starts at %d, want %d", name, got, tc.want)
		}
		if got := c.get(protocol.Normal, "us-1", born); got != 0 {
			t.Errorf("%s: the other lane starts at %d", name, got)
		}
	}
}

func TestBrokenCursorFileIsForgotten(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cursors.json"), []byte(`{"urgent":{"own":`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openCursors(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.get(protocol.Urgent, "us-1", time.Time{}); got != 0 {
		t.Errorf("starts at %d", got)
	}
}

func TestKnownIsBounded(t *testing.T) {
	k := newKnown()
	name := func(i int) string { return key(&Event{Room: "w", ID: string(rune(i))}) }
	for i := range 3 * knownLen {
		k.add(name(i))
	}
	if k.has(name(0)) || len(k.now)+len(k.old) > 2*knownLen {
		t.Error("never forgets")
	}
	for i := 2 * knownLen; i < 3*knownLen; i++ {
		if !k.has(name(i)) {
			t.Fatalf("%d of the latest is forgotten", i)
		}
	}
}
