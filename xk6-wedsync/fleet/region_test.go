package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wedsync/wedsync/client"
	"github.com/wedsync/wedsync/protocol"
)

func clientMessage(id string, at time.Time) client.Message {
	return client.Message{ID: id, Event: "urgent", Lane: protocol.Urgent, Region: "eu-west", Session: 1, At: at}
}

func TestParseRegions(t *testing.T) {
	got, err := ParseRegions("eu-west=ws://a:1/socket, us-east=wss://b/socket,eu-west=ws://c:1/socket")
	if err != nil {
		t.Fatal(err)
	}
	want := []Region{{"eu-west", []string{"ws://a:1/socket", "ws://c:1/socket"}}, {"us-east", []string{"wss://b/socket"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for in, want := range map[string]string{
		"":                         "should read region=",
		"eu-west":                  "should read region=",
		"EU=ws://a/socket":         "may hold only",
		"eu=http://a/socket":       "should be a URL like",
		"eu=":                      "should be a URL like",
		"eu=ws://a/socket,us=x://": "should be a URL like",
	} {
		if _, err := ParseRegions(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", in, err, want)
		}
	}
}

func TestEndpointsSpreadTheLoad(t *testing.T) {
	regions, err := ParseRegions("a=ws://a1/s,b=ws://b1/s,c=ws://c1/s,a=ws://a2/s")
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]int{}
	for wedding := range 30 {
		for vendor := range 12 {
			list := endpoints(regions, wedding, vendor, 7)
			if len(list) != 4 {
				t.Fatalf("%d endpoints, want all 4", len(list))
			}
			first[list[0].URL]++
		}
	}
	want := map[string]int{"ws://a1/s": 60, "ws://a2/s": 60, "ws://b1/s": 120, "ws://c1/s": 120}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("preferred nodes of 30 weddings (-want +got):\n%s", diff)
	}
}

func TestVendors(t *testing.T) {
	for _, c := range []struct {
		n      int
		share  float64
		single int // over 100 weddings
	}{{12, 0, 0}, {12, 0.1, 120}, {12, 1.0 / 12, 100}, {12, 1, 1100}, {1, 0.5, 0}, {40, 0.25, 1000}} {
		single := 0
		for w := range 100 {
			vendors := Vendors(c.n, 2, c.share, w, 7)
			names := map[string]bool{}
			for i, v := range vendors {
				names[v.Name] = true
				if v.Homes == 1 {
					single++
				}
				if (v.Type == Planner) != (i == 0) || v.Type == Planner && v.Homes != 2 {
					t.Fatalf("vendor %d of %d is %+v", i, c.n, v)
				}
			}
			if len(names) != c.n {
				t.Fatalf("%d names for %d vendors", len(names), c.n)
			}
		}
		if single < c.single-1 || single > c.single {
			t.Errorf("%d vendors, share %.2f: %d with one home, want %d", c.n, c.share, single, c.single)
		}
	}
	if diff := cmp.Diff(Vendors(12, 2, 0.3, 5, 9), Vendors(12, 2, 0.3, 5, 9)); diff != "" {
		t.Errorf("the same seed gave others: %s", diff)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	c := Config{ID: "w 1", Vendors: []Vendor{{"a", "", 3}, {"a", "x", 2}, {"b/c", "x", 1}}, Regions: []Region{{"eu", []string{"ws://a/s"}}},
		Limit: -1, Parallel: -1}
	err := c.Validate()
	for _, want := range []string{"id:", `"a" stands there twice`, "type is missing", "homes is 3", "2 homes need as many regions", `"b/c"`, "limit:", "parallel:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if err := (&Config{ID: "w"}).Validate(); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("an empty wedding: %v", err)
	}
}
