package reports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// recorded is what the generator's own histograms count: a second bookkeeping of the deliveries, kept by
// other code, that must agree with the history.
type recorded struct {
	total  int64 // of the lines without a tag
	tagged int64 // of those with one; the sum of all tags must be the total
}

const recordedLegend = `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`

var recordedLine = regexp.MustCompile(`^(?:Tag=([A-Za-z0-9_.:/=-]+),)?[0-9]+\.[0-9]+,[0-9]+\.[0-9]+,[0-9]+(?:\.[0-9]+)?,([A-Za-z0-9+/=]+)$`)

// readRecorded reads raw/latency.hlog. The library's own reader skips lines that it does not understand;
// this one refuses them.
func readRecorded(r io.Reader) (recorded, error) {
	var sum recorded
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == recordedLegend {
			continue
		}
		parts := recordedLine.FindStringSubmatch(line)
		if parts == nil {
			return sum, fmt.Errorf("line %d is not an interval of a histogram log 1.3", n)
		}
		h, err := hdrhistogram.DecodePacked([]byte(parts[2]))
		if err != nil {
			return sum, fmt.Errorf("line %d: %w", n, err)
		}
		if parts[1] == "" {
			sum.total += h.TotalCount()
		} else {
			sum.tagged += h.TotalCount()
		}
	}
	if err := lines.Err(); err != nil {
		return sum, fmt.Errorf("after line %d: %w", n, err)
	}
	if n == 0 {
		return sum, errors.New("empty; not even a header")
	}
	return sum, nil
}
