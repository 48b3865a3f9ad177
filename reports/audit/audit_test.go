package audit

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var some = []Record{
	{Node: "eu-west-0", Region: "eu-west"},
	{Node: "eu-west-0", Region: "eu-west", Lane: "urgent", ID: "w001/planner-1/u17", Room: "private:w001", Origin: "us-east-0", Seq: 18446744073709551615, StoredWallNS: 1763927000123456789},
	{Node: "us-east-0", Region: "us-east", Lane: "normal", ID: "a<b>&c", StoredWallNS: 1},
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.jsonl.gz")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Asked("eu-west-0", "eu-west"); err != nil {
		t.Fatal(err)
	}
	for _, r := range some[1:] {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []Record
	if err := Read(file, func(r *Record) error { got = append(got, *r); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(some, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := Create(path); err == nil {
		t.Error("an audit was overwritten")
	}
}

func TestWriterRefuses(t *testing.T) {
	w := NewWriter(&bytes.Buffer{})
	for _, r := range []Record{{}, {Node: "n"}, {Node: "n", Region: "r", Lane: "urgent"}, {Node: "n", Region: "r", ID: "i", Lane: "slow", StoredWallNS: 1}, {Node: "n", Region: "r", ID: "i", Lane: "urgent"}} {
		if err := w.Write(r); err == nil {
			t.Errorf("wrote %+v", r)
		}
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	z.Close()
	return b.Bytes()
}

func TestReadRefuses(t *testing.T) {
	const good = `{"node":"n","region":"r","lane":"urgent","id":"i","stored_wall_ns":1}` + "\n"
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"not compressed":           {[]byte(good), "must be gzip"},
		"empty":                    {nil, "must be gzip"},
		"cut off":                  {zipped(strings.Repeat(good, 1000))[:40], "unexpected EOF"},
		"unknown field":            {zipped(good + `{"node":"n","region":"r","age":1}` + "\n"), "line 2"},
		"two values":               {zipped(strings.TrimSpace(good) + good), "more than one value"},
		"no region":                {zipped(`{"node":"n"}` + "\n"), "node and region are needed"},
		"message, no id":           {zipped(`{"node":"n","region":"r","lane":"urgent"}` + "\n"), "without an id"},
		"unknown lane":             {zipped(`{"node":"n","region":"r","lane":"x","id":"i","stored_wall_ns":1}` + "\n"), "neither urgent nor normal"},
		"bulk, which no log holds": {zipped(`{"node":"n","region":"r","lane":"bulk","id":"i","stored_wall_ns":1}` + "\n"), "neither urgent nor normal"},
		"no time":                  {zipped(`{"node":"n","region":"r","lane":"urgent","id":"i"}` + "\n"), "stored_wall_ns is missing"},
		"no object":                {zipped("7\n"), "line 1"},
		"a very long line":         {zipped(`{"node":"` + strings.Repeat("n", maxLine) + `"}`), "token too long"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Read(bytes.NewReader(tt.in), func(*Record) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"node":"n","region":"r","lane":"urgent","id":"i","stored_wall_ns":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var r Record
		if decode(line, &r) == nil && r.validate() != nil {
			t.Fatalf("accepted %+v", r)
		}
	})
}
