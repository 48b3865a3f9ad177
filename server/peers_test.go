package server

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wedsync/wedsync/server/backbone"
	"github.com/wedsync/wedsync/server/presence"
)

func TestParsePeers(t *testing.T) {
	eu, us := backbone.Peer{Node: "eu-1", Region: "eu", URL: "nats://10.0.0.1:4222"}, backbone.Peer{Node: "us-1", Region: "us", URL: "nats://us.example:4222"}
	for name, tc := range map[string]struct {
		text string
		want []backbone.Peer
		says []string
	}{
		"nothing":  {"", nil, nil},
		"comments": {"# all of us\n\n  \t# and more\n", nil, nil},
		"two":      {"eu-1@eu=nats://10.0.0.1:4222 # the first\r\n\n us-1@us=nats://us.example:4222", []backbone.Peer{eu, us}, nil},
		"all that is wrong": {"eu-1\neu-1@eu=nats://10.0.0.1:4222\neu-1@eu=nats://10.0.0.2:4222\na b@eu=nats://x:1\nx@y=http://z:1\nx@y=nats://z\n", nil, []string{
			`f:1: "eu-1": use NODE@REGION=nats://HOST:PORT`, `f:3: node "eu-1" is named twice`, `f:4: peer "a b" contains`, "f:5: ", "f:6: peer x: URL"}},
		"an endless line": {strings.Repeat("x", 2*maxPeersFile), nil, []string{"too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePeers("f", []byte(tc.text))
			if tc.says == nil && (err != nil || !slices.Equal(got, tc.want)) {
				t.Errorf("got %v, %v", got, err)
			}
			for _, want := range tc.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

// FuzzParsePeers: what is read without complaint is what the backbone takes, and can be written again.
func FuzzParsePeers(f *testing.F) {
	f.Add("# us\neu-1@eu=nats://10.0.0.1:4222\n")
	f.Add("eu-1@eu=nats://[::1]:4222\nus-1@us=nats://us.example:4222#x")
	f.Add("@=\n=@\na@b=nats://")
	f.Fuzz(func(t *testing.T, text string) {
		peers, err := parsePeers("f", []byte(text))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, p := range peers {
			if err := p.Validate(); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
			fmt.Fprintf(&again, "%s@%s=%s\n", p.Node, p.Region, p.URL)
		}
		if same, err := parsePeers("f", []byte(again.String())); err != nil || !slices.Equal(same, peers) {
			t.Errorf("%q became %v, %v", again.String(), same, err)
		}
	})
}

func TestJoinPeers(t *testing.T) {
	p := func(node, url string) backbone.Peer { return backbone.Peer{Node: node, Region: "r", URL: url} }
	got := joinPeers([]backbone.Peer{p("a", "old"), p("b", "flag")}, []backbone.Peer{p("c", "file"), p("a", "new")})
	if want := []backbone.Peer{p("c", "file"), p("a", "new"), p("b", "flag")}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A node hears of another one by its peers file, and of its end too.
func TestPeersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	const own = "eu-west-1@eu-west=nats://127.0.0.1:1 # this one\n"
	write(own)
	here := start(t, func(c *Config) { c.PeersFile = file })
	there := start(t, func(c *Config) {
		c.Node, c.Region = "us-east-1", "us-east"
		c.Peers = []backbone.Peer{{Node: "eu-west-1", Region: "eu-west", URL: here.backbone.LogURL()}}
	})
	if here.backbone.Regions() != 1 || here.Ready() != nil {
		t.Fatalf("alone: %d regions, %v", here.backbone.Regions(), here.Ready())
	}
	there.presence.Track(there.presence.NewID(), presence.Entry{Room: "public:w", Key: "dj", Payload: []byte("{}")})

	write(own + "us-east-1@us-east=" + there.backbone.LogURL() + "\n")
	waitFor(t, "the new peer is known", func() bool { return here.backbone.Regions() == 2 })
	waitFor(t, "both are ready", func() bool { return here.Ready() == nil && there.Ready() == nil })
	waitFor(t, "who is there is seen here", func() bool { return here.presence.Len() == 1 })

	for _, broken := range []string{"us-east-1", "# being written\n"} {
		before := strings.Count(here.log.String(), "IS NOT USED")
		write(broken)
		waitFor(t, "the broken file is complained about", func() bool { return strings.Count(here.log.String(), "IS NOT USED") > before })
		if here.backbone.Regions() != 2 {
			t.Errorf("%q: the peers have changed", broken)
		}
	}
	if !strings.Contains(here.log.String(), file+":1:") {
		t.Errorf("the log does not say where the mistake is:\n%s", here.log)
	}

	write(own)
	waitFor(t, "the peer is gone", func() bool { return here.backbone.Regions() == 1 })
}

func TestPeersFileThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("\nx"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{filepath.Join(dir, "none"): "--peers-file", broken: broken + ":2:"} {
		cfg := testConfig(t)
		cfg.PeersFile = path
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
	cfg := testConfig(t)
	cfg.PeersFile, cfg.ClusterSecret, cfg.Dev = broken, "", true
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "--cluster-secret") {
		t.Errorf("without a secret: %v", err)
	}
}
