package bench

import (
	"os"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const tail = " S 1 2 3 0 -1 4194560 5 6 7 8 150 25 9 10 20 0 8 0 100 1000 200"
	for name, c := range map[string]struct {
		stat string
		want time.Duration
		ok   bool
	}{
		"plain":                            {"42 (beam)" + tail, 1750 * time.Millisecond, true},
		"a name with spaces":               {"42 (beam smp x)" + tail, 1750 * time.Millisecond, true},
		"a name that looks like the state": {"42 (a) R 1 2)" + tail, 1750 * time.Millisecond, true},
		"too short":                        {"42 (beam) S 1 2", 0, false},
		"no name":                          {"42 beam S", 0, false},
		"empty":                            {"", 0, false},
		"no number":                        {"42 (beam) S 1 2 3 0 -1 4194560 5 6 7 8 x 25 9", 0, false},
	} {
		got, err := parseStat([]byte(c.stat))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestParseKiB(t *testing.T) {
	const rollup = "00400000-7ffc [rollup]\nRss:               13516 kB\nPss:  9000 kB\n"
	for name, c := range map[string]struct {
		text, key string
		want      int64
		ok        bool
	}{
		"rollup":           {rollup, "Rss:", 13516, true},
		"status":           {"VmHWM:\t  900 kB\nVmRSS:\t  800 kB\n", "VmRSS:", 800, true},
		"a part of a name": {"AnonRss: 5 kB\n", "Rss:", 0, false},
		"missing":          {rollup, "VmRSS:", 0, false},
		"no number":        {"Rss: many kB\n", "Rss:", 0, false},
	} {
		got, err := parseKiB([]byte(c.text), c.key)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %d, %v; want %d", name, got, err, c.want)
		}
	}
}

// The real files have the form that the parsers know.
func TestThisProcess(t *testing.T) {
	if kib, err := residentKiB(os.Getpid()); err != nil || kib < 1000 {
		t.Errorf("memory: %d KiB, %v", kib, err)
	}
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); time.Since(begin) < 60*time.Millisecond; {
	}
	if after, err := cpuTime(os.Getpid()); err != nil || after <= before {
		t.Errorf("CPU time went from %v to %v, %v", before, after, err)
	}
}

func TestParseBusy(t *testing.T) {
	for name, c := range map[string]struct {
		stat string
		want time.Duration
		ok   bool
	}{
		"two CPUs":  {"cpu  100 20 30 9999 8888 4 5 6 77 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n", 1650 * time.Millisecond, true},
		"too short": {"cpu  100 20 30\n", 0, false},
		"not first": {"intr 1\ncpu  1 1 1 1 1 1 1 1 1 1\n", 0, false},
		"no number": {"cpu  x 20 30 9999 8888 4 5 6 77 0\n", 0, false},
	} {
		got, err := parseBusy([]byte(c.stat))
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
}
