package room

import (
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/protocol"
)

func TestPlaces(t *testing.T) {
	tree := Tree{"wedding"}
	for sub, want := range map[string]struct{ room, path string }{
		"wedding:42":                {"private:wedding:42", ""},
		"wedding:42:timeline":       {"private:wedding:42", "timeline"},
		"wedding:42:vendor:florist": {"private:wedding:42", "vendor:florist"},
		"wedding:42:":               {"private:wedding:42:", ""},
		"wedding::x":                {"private:wedding::x", ""},
		"wedding:":                  {"private:wedding:", ""},
		"wedding":                   {"private:wedding", ""},
		"weddings:42:x":             {"private:weddings:42:x", ""},
		"room:1:x":                  {"private:room:1:x", ""},
	} {
		room, path := tree.Place(true, sub)
		if room != want.room || path != want.path {
			t.Errorf("%s: room %q, path %q", sub, room, path)
		}
		if back := SubTopic(room, path); back != sub {
			t.Errorf("%s came back as %s", sub, back)
		}
	}
	if room, path := Tree(nil).Place(false, "wedding:42:timeline"); room != "public:wedding:42:timeline" || path != "" {
		t.Errorf("without a tree: %q, %q", room, path)
	}
}

// TestParentsReceiveChildren joins every place of a wedding and sees who gets what.
func TestParentsReceiveChildren(t *testing.T) {
	paths := []string{"", "timeline", "vendor", "vendor:florist", "vendor:florist:van", "vendors"}
	for published, c := range map[string]struct {
		normal  []string
		channel string
	}{
		"":                   {[]string{""}, "wed:42"},
		"timeline":           {[]string{"", "timeline"}, "wed:42:timeline"},
		"vendor:florist":     {[]string{"", "vendor", "vendor:florist"}, "wed:42:vendor:florist"},
		"vendor:florist:van": {[]string{"", "vendor", "vendor:florist", "vendor:florist:van"}, "wed:42:vendor:florist:van"},
		"vendors":            {[]string{"", "vendors"}, "wed:42:vendors"},
	} {
		for _, lane := range []protocol.Lane{protocol.Normal, protocol.Urgent} {
			h := newHub(t, Flaw{})
			heard := map[string]*recorder{}
			for _, path := range paths {
				heard[path] = &recorder{}
				h.Join("public:wed:42", &Member{Sink: heard[path], Version: protocol.V2, Path: path}, func() {})
			}
			ev := textEvent("{}")
			ev.Path, ev.Lane = published, lane
			want := c.normal
			if lane == protocol.Urgent {
				want = paths
			}
			if n := h.Deliver(ev, nil); n != len(want) {
				t.Errorf("%v on %q: delivered to %d, want %d", lane, published, n, len(want))
			}
			for path, r := range heard {
				if !slices.Contains(want, path) {
					if len(r.frames) > 0 {
						t.Errorf("%v on %q reached %q", lane, published, path)
					}
					continue
				}
				if len(r.frames) != 1 {
					t.Errorf("%v on %q: %d frames for %q", lane, published, len(r.frames), path)
					continue
				}
				got := string(r.frames[0].Payload())
				if topic := `"realtime:` + SubTopic("public:wed:42", path) + `"`; !strings.Contains(got, topic) {
					t.Errorf("%q got it on another topic: %s", path, got)
				}
				if named := strings.Contains(got, `"channel":"`+c.channel+`"`); named != (path != published) {
					t.Errorf("%v on %q, to %q: %s", lane, published, path, got)
				}
			}
		}
	}
}

func TestPresenceIsToldByPlaceAndRight(t *testing.T) {
	h := newHub(t, Flaw{})
	type who struct {
		path     string
		presence bool
	}
	heard := map[who]*recorder{}
	for _, path := range []string{"", "vendor", "timeline"} {
		for _, presence := range []bool{true, false} {
			r := &recorder{}
			heard[who{path, presence}] = r
			h.Join("private:wed:42", &Member{Sink: r, Version: protocol.V1, Path: path, Presence: presence}, func() {})
		}
	}
	asked := 0
	told := h.Presence("private:wed:42", func(path string) []byte {
		asked++
		if path == "timeline" {
			return nil
		}
		return []byte(`{"at":"` + path + `"}`)
	})
	if told != 2 || asked != 3 {
		t.Errorf("told %d, asked %d", told, asked)
	}
	for w, r := range heard {
		if want := w.presence && w.path != "timeline"; want != (len(r.frames) == 1) {
			t.Errorf("%+v has %d frames", w, len(r.frames))
		}
	}
	got := string(heard[who{"vendor", true}].frames[0].Payload())
	if want := `{"topic":"realtime:wed:42:vendor","event":"presence_diff","payload":{"at":"vendor"},"ref":null}`; got != want {
		t.Errorf("got %s", got)
	}
}

func TestDeafMembersGetNoBroadcasts(t *testing.T) {
	h := newHub(t, Flaw{})
	m, r := join(h, "public:wed:42", protocol.V2, "k")
	h.Change(m, func(m *Member) { m.Deaf = true })
	if n := h.Deliver(textEvent("{}"), nil); n != 0 || len(r.frames) != 0 {
		t.Errorf("a deaf member got %d", len(r.frames))
	}
	h.Change(m, func(m *Member) { m.Deaf = false })
	if n := h.Deliver(textEvent("{}"), nil); n != 1 || len(r.frames) != 1 {
		t.Errorf("a member that hears again got %d", len(r.frames))
	}
}
