package scaling

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The example of the documents is a good policy, and does what its comments say.
func TestSeasonExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "season.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("season.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]Capacity{
		"eu-west":  {Min: 2, Max: 12, Connections: 2000, Messages: 20_000},
		"us-east":  {Min: 1, Max: 8, Connections: 2000, Messages: 20_000},
		"ap-south": {Min: 1, Max: 6, Connections: 2000, Messages: 20_000},
		"sa-east":  {Min: 1, Max: 6, Connections: 2000, Messages: 20_000}, // not named
	} {
		if got := p.Capacity(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if p.StabilizeFor != 10*time.Minute || p.Tolerance != 0.1 || len(p.Calendar) != 4 {
		t.Errorf("%v, %v, %d entries", p.StabilizeFor, p.Tolerance, len(p.Calendar))
	}
	for _, c := range []struct {
		at, region string
		want       int // without any load
		reason     Reason
	}{
		{"2026-06-20T06:14:59Z", "eu-west", 2, ByMin}, // a Saturday, British Summer Time
		{"2026-06-20T06:15:00Z", "eu-west", 4, ByCalendar},
		{"2026-06-21T00:59:59Z", "eu-west", 4, ByCalendar},
		{"2026-06-21T01:00:00Z", "eu-west", 2, ByMin},
		{"2026-06-20T06:15:00Z", "us-east", 1, ByMin},
		{"2026-06-20T11:15:00Z", "us-east", 3, ByCalendar},
		{"2026-06-20T11:15:00Z", "ap-south", 1, ByMin},
		{"2026-06-19T10:30:00Z", "eu-west", 3, ByCalendar}, // Friday, with the lead that is taken if none is given
		{"2026-11-21T12:00:00Z", "eu-west", 2, ByMin},      // a Saturday in November
		{"2026-12-31T14:00:00Z", "ap-south", 3, ByCalendar},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.need(c.region, at, nil); got.Replicas != c.want || got.Reason != c.reason {
			t.Errorf("%s at %s: %d because of %s, want %d because of %s", c.region, c.at, got.Replicas, got.Reason, c.want, c.reason)
		}
	}
}

// The calendar in the documents can be used as it stands there.
func TestDocumentedCalendar(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "scaling.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\ncalendar:")
	calendar, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("docs/scaling.md has no calendar")
	}
	p, err := Parse("docs/scaling.md", []byte("regions: {eu-west: {}}\ncalendar:"+calendar))
	if err != nil || len(p.Calendar) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}", "regions: {}\n"} {
		got, err := Parse("p.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		want := &Policy{Default: Capacity{Min: 1, Max: 10, Connections: 2000, Messages: 20_000}, Regions: map[string]Capacity{},
			StabilizeFor: 5 * time.Minute, Tolerance: 0.1}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", text, diff)
		}
	}
	got, err := Parse("p.yaml", []byte("calendar: [{name: x, floor: 2, months: [JUN, september], weekdays: [Sat]}]"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Season{{Name: "x", Floor: 2, Factor: 1, Months: []time.Month{6, 9}, Weekdays: []time.Weekday{6}, Zone: time.UTC, Lead: 30 * time.Minute}}
	if diff := cmp.Diff(want, got.Calendar, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Each mistake is told with its line and what to write instead, all at once.
func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys": {"regions:\n  eu:\n    mni: 2\nstabilise: 5m\n", []string{"p.yaml:3: unknown key mni", "p.yaml:4: unknown key stabilise", "docs/scaling.md"}},
		"values": {"stabilize_for: soon\ncalendar:\n- name: x\n  from: noon\n  zone: Mars/Olympus\n  weekdays: [caturday]\n  months: [smarch]\n  dates: [31.12.2026]\n  lead: [1h]\n", []string{
			`p.yaml:1: "soon" is not a duration: write 90s`, `p.yaml:4: "noon" is not a time of day`, `p.yaml:5: "Mars/Olympus" is not a time zone`,
			`p.yaml:6: "caturday" is not a weekday`, `p.yaml:7: "smarch" is not a month`, `p.yaml:8: "31.12.2026" is not a date`, `p.yaml:9: "" is not a duration`}},
		"local time":     {"calendar: [{name: x, zone: Local, floor: 1}]", []string{`"Local" is not a time zone`}},
		"not a number":   {"default: {min: two}", []string{"p.yaml:1: cannot unmarshal"}},
		"not YAML":       {"default: [", []string{"p.yaml:1: did not find expected node content"}},
		"two documents":  {"default: {}\n---\ndefault: {}\n", []string{"second document"}},
		"bounds":         {"default: {min: 0}\nregions: {eu: {min: 5, max: 3}, us: {max: 2000}}\ntolerance: 1\nstabilize_for: -1s\n", []string{"default: min is 0", "region eu: min is 5 and max 3", "region us: min is 0 and max 2000", "tolerance is 1", "stabilize_for is -1s"}},
		"capacities":     {"default: {connections_per_replica: 0, messages_per_replica: .nan}", []string{"connections_per_replica is 0", "messages_per_replica is NaN"}},
		"season":         {"calendar: [{factor: 0.5, floor: -1, lead: 100h, dates: [2026-12-31], months: [june]}]", []string{"has no name", "factor is 0.5", "floor is -1", "lead is 100h0m0s", "either dates"}},
		"idle season":    {"calendar: [{name: x}]", []string{"changes nothing: give it a floor"}},
		"unknown region": {"calendar: [{name: x, floor: 1, regions: [eu]}]", []string{`region "eu" is not among the regions`}},
		"too large":      {strings.Repeat("#", MaxFile+1), []string{"larger than"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("p.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in:\n%v", want, err)
				}
			}
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "p.yaml:") {
					t.Errorf("%q does not say in which file", line)
				}
			}
		})
	}
}

// Whatever stands in a file, it is refused or makes a policy that can be used.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile(filepath.Join("testdata", "season.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("regions: {eu: {min: 1e3}}\ntolerance: .inf"))
	f.Add([]byte("calendar: [{name: x, floor: 2, months: [JUN], from: 24:00, zone: UTC}]"))
	f.Add([]byte("a: &a [*a]"))
	at := time.Date(2026, 6, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("p.yaml", text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error says nothing")
			}
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, d := range NewPlanner(p).Desired(at, []Load{{Node: "n", Region: "eu", Connections: 1e9, Messages: 1}}) {
			if c := p.Capacity(d.Region); d.Replicas < c.Min || d.Replicas > c.Max {
				t.Fatalf("%+v, of %+v", d, c)
			}
		}
	})
}
