package backbone

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"github.com/wedsync/wedsync/protocol"
)

// TestSubjectsAreValidAndDistinct checks, for any room and id, that the subject is one that a log
// accepts, lies under the filters of its lane and room and of no other, and belongs to one event
// only.
func TestSubjectsAreValidAndDistinct(t *testing.T) {
	text := rapid.OneOf(rapid.StringN(0, 40, 200), rapid.StringMatching(`[a-z.*>= ]{0,6}`), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		a := &Event{Room: text.Draw(t, "room"), ID: text.Draw(t, "id")}
		b := &Event{Room: text.Draw(t, "other room"), ID: text.Draw(t, "other id")}
		sa, sb := eventSubject("n1", a), eventSubject("n1", b)
		if !server.IsValidLiteralSubject(sa) || strings.Count(sa, ".") != 4 {
			t.Fatalf("%q is no literal subject of five tokens", sa)
		}
		if same := a.Room == b.Room && a.ID == b.ID; (sa == sb) != same {
			t.Fatalf("%+v and %+v: %q, %q", a, b, sa, sb)
		}
		filter := roomFilter("n1", protocol.Normal, a.Room)
		if !server.SubjectsCollide(sa, filter) {
			t.Fatalf("%q is not found by %q", sa, filter)
		}
		if a.Room != b.Room && server.SubjectsCollide(sb, filter) {
			t.Fatalf("%q of another room is found by %q", sb, filter)
		}
	})
}

func TestSubjectText(t *testing.T) {
	ev := &Event{Lane: protocol.Urgent, Room: "public:Zoë & Max", ID: "w001/planner-1/u.17"}
	if got, want := eventSubject("eu-1", ev), "evt.eu-1.u.public:Zo=C3=AB=20=26=20Max.w001/planner-1/u=2E17"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
