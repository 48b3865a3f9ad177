package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStreamMessages(t *testing.T) {
	number := "\x00\x00\x00\x00\x01\x02\x03\x04"
	for name, c := range map[string]struct {
		data string
		want received
		ok   bool
	}{
		"data":              {"w" + number + number + number + "B", received{data: []byte("B"), lsn: 0x01020304}, true},
		"empty data":        {"w" + number + number + number, received{data: []byte{}, lsn: 0x01020304}, true},
		"keepalive":         {"k" + number + number + "\x00", received{lsn: 0x01020304}, true},
		"request":           {"k" + number + number + "\x01", received{lsn: 0x01020304, reply: true}, true},
		"nothing":           {"", received{}, false},
		"half a head":       {"w" + number + number, received{}, false},
		"half a keepalive":  {"k" + number, received{}, false},
		"another kind":      {"s" + strings.Repeat(number, 4), received{}, false},
		"too long an alive": {"k" + number + number + "\x01\x00", received{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseCopyData([]byte(c.data))
			if (err == nil) != c.ok || !cmp.Equal(got, c.want, cmp.AllowUnexported(received{})) {
				t.Errorf("%+v, error %v", got, err)
			}
		})
	}
}
