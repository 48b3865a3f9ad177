package wan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDefaultProfile(t *testing.T) {
	p := DefaultProfile()
	if p.Source == "" {
		t.Error("its figures have no source")
	}
	for _, c := range []struct {
		a, b string
		want time.Duration
	}{
		{"eu-west", "us-east", 70 * time.Millisecond},
		{"ap-southeast", "us-east", 220 * time.Millisecond},
		{"ap-southeast", "eu-west", 175 * time.Millisecond},
		{Venue, "us-east", 10 * time.Millisecond},
		{"us-east", Venue, 10 * time.Millisecond},
		{"us-east", "us-east", 0},
	} {
		if got := p.RoundTrip(c.a, c.b); got != c.want {
			t.Errorf("%s to %s: %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestProfileErrorsNameFileLineAndCure(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "p.yaml: the profile is empty"},
		{"not a mapping", "- a\n", "p.yaml:1: the profile: a mapping is wanted"},
		{"broken YAML", "regions: [a\n", "p.yaml: yaml: line 1"},
		{"unknown key", "regions: [a]\nacces: 10ms\n", `p.yaml:2: unknown key "acces"`},
		{"repeated key", "regions: [a]\naccess: 1ms\naccess: 2ms\n", `p.yaml:3: the profile: "access" is there twice, first in line 2`},
		{"no regions", "access: 10ms\n", "regions: name at least one"},
		{"regions not a list", "regions: a\n", "p.yaml:1: regions: a list of names is wanted"},
		{"region name", "regions:\n  - a\n  - EU West\n", `p.yaml:3: regions: "EU West": only a-z`},
		{"region named venue", "regions: [venue]\n", `p.yaml:1: regions: "venue" is the name of the vendors' place`},
		{"same region twice", "regions: [a, a]\n", `regions: "a" is there twice`},
		{"missing pair", "regions: [a, b, c]\nround_trip:\n  a: {b: 1ms, c: 2ms}\n", "the pair b, c is missing"},
		{"asymmetric pair", "regions: [a, b]\nround_trip:\n  a: {b: 1ms}\n  b: {a: 2ms}\n", "a to b is 1ms, but b to a is 2ms"},
		{"unknown region in a pair", "regions: [a, b]\nround_trip:\n  a: {b: 1ms, mars: 1ms}\n", `"mars" is not one of the regions`},
		{"pair with itself", "regions: [a, b]\nround_trip:\n  a: {b: 1ms, a: 1ms}\n", "a to itself: leave it out"},
		{"negative", "regions: [a, b]\nround_trip:\n  a:\n    b: -1ms\n", "p.yaml:4: round_trip.a.b: -1ms must not be negative"},
		{"no unit", "regions: [a, b]\naccess: 10ms\nround_trip:\n  a:\n    b: 70\n", `p.yaml:5: round_trip.a.b: "70" is not a duration, write for example 70ms`},
		{"too long", "regions: [a]\naccess: 70m\n", "p.yaml:2: access: 1h10m0s is over a minute"},
		{"repeated pair", "regions: [a, b]\nround_trip:\n  a:\n    b: 1ms\n    b: 1ms\n", `p.yaml:5: round_trip.a: "b" is there twice`},
		{"alias", "regions: [a]\naccess: &x 1ms\nname: *x\n", "p.yaml:3: name: a text is wanted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseProfile("p.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error: %v\nwant:  %s", err, c.want)
			}
		})
	}
}

func TestProfileSaysAllThatIsWrong(t *testing.T) {
	_, err := ParseProfile("p.yaml", []byte("regions: [A, b]\naccess: soon\nround_trip: 5\nspeed: c\n"))
	if err == nil || strings.Count(err.Error(), "p.yaml:") != 4 {
		t.Errorf("want 4 errors, got: %v", err)
	}
}

func TestProfileIsReadFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "two.yaml")
	must(t, os.WriteFile(path, []byte("name: two\nregions: [a, b]\nround_trip:\n  b: {a: 33ms}\n"), 0o644))
	p, err := LoadProfile(path)
	must(t, err)
	if p.Name != "two" || p.RoundTrip("a", "b") != 33*time.Millisecond || p.Access != 10*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if _, err := LoadProfile(path + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestOnlyKeepsDistances(t *testing.T) {
	p, err := DefaultProfile().Only("us-east", "ap-southeast")
	must(t, err)
	if len(p.RoundTrips) != 1 || p.RoundTrip("ap-southeast", "us-east") != 220*time.Millisecond {
		t.Errorf("%+v", p)
	}
	if _, err := DefaultProfile().Only("us-east", "mars"); err == nil || !strings.Contains(err.Error(), "mars") {
		t.Errorf("an unknown region: %v", err)
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add(defaultProfile)
	f.Add([]byte("regions: [a, b]\nround_trip: {a: {b: 1ms}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParseProfile("p.yaml", text)
		if err == nil && p.Validate() != nil {
			t.Errorf("accepted, but not valid: %v", p.Validate())
		}
	})
}

func TestImpairmentValidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		im := Impairment{Delay: time.Duration(rapid.Int64().Draw(t, "delay")), Jitter: time.Duration(rapid.Int64().Draw(t, "jitter")),
			Loss: rapid.Float64().Draw(t, "loss")}
		good := im.Delay >= 0 && im.Jitter >= 0 && im.Loss >= 0 && im.Loss <= 1
		if (im.Validate() == nil) != good {
			t.Fatalf("%+v: %v", im, im.Validate())
		}
	})
}
