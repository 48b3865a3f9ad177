package reports

import (
	"flag"
	"testing"
	"time"
)

var keep = flag.String("keep", "", "write a realistic synthetic bundle into this folder, to look at its report")

// TestKeep makes a bundle to look at: go test ./reports -run TestKeep -keep /tmp/bundle.
func TestKeep(t *testing.T) {
	if *keep == "" {
		t.Skip("no -keep folder given")
	}
	s := newSynthetic(100, 12, 3, false)
	s.Claims += moreClaims
	s.linger(12 * time.Minute)
	s.watch()
	s.photos(40, 0.03)
	s.stop(synthStart+8*second, synthStart+11*second)
	s.move(40)
	s.act("upgrade-"+synthDead, "upgrade", synthDead+"-0 replaced: SIGTERM, start, ready")
	s.scale("eu-west", s.faults[2].to, s.faults[2].to+200*second, 2)
	s.write(t, *keep)
	if err := Write(*keep); err != nil {
		t.Fatal(err)
	}
}
