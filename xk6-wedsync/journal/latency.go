package journal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// The range of the histograms. Values are nanoseconds, because every tool divides the log's maximum column by a million.
const (
	lowestNS  = int64(time.Microsecond)
	highestNS = int64(time.Minute)
	digits    = 3
)

// Latency writes latency.hlog (HdrHistogram log, format 1.3): a line per second and series, and for each second one
// line without a tag that is the sum of all, because Java's HistogramLogProcessor wants one.
//
// It shows the distribution. Whether a message was late is decided from the history, exactly, and not from a bucket.
type Latency struct {
	file *os.File
	out  *bufio.Writer
	log  *hdr.HistogramLogWriter
	stop chan struct{}
	done chan error // the writing goroutine's last word

	mu     sync.Mutex // guards the following
	series []*Series
}

// Series is one tagged row of histograms. Each has its own lock, so recording is spread over as many locks as series.
type Series struct {
	tag string

	mu           sync.Mutex // guards the following
	now          *hdr.PackedHistogram
	over, failed int64 // values above the range (recorded as its end), and values that were refused
}

// tagForm is stricter than the library, which lets some separators through and then cannot read its own file.
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_.:/=-]+$`)

// Tag names a series of the log.
func Tag(lane, region string) string { return "lane=" + lane + "/region=" + region }

// OpenLatency creates the latency log in dir.
func OpenLatency(dir string) (*Latency, error) {
	path := filepath.Join(dir, LatencyFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the latency log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating the latency log (give each run a folder of its own): %w", err)
	}
	out := bufio.NewWriter(file)
	l := &Latency{file: file, out: out, log: hdr.NewHistogramLogWriter(out), stop: make(chan struct{}), done: make(chan error, 1)}
	start := time.Now()
	if err := l.header(start); err != nil {
		return nil, errors.Join(fmt.Errorf("writing the latency log's header: %w", err), file.Close())
	}
	go l.write(start) // owner: l; ends at Close; has no queue, the histograms are the queue
	return l, nil
}

// header writes the first lines. The library's own StartTime and BaseTime drop the milliseconds that its interval
// lines subtract, so these two are written here.
func (l *Latency) header(start time.Time) error {
	ms := start.UnixMilli()
	l.log.SetBaseTime(ms)
	seconds := fmt.Sprintf("%d.%03d (seconds since epoch)", ms/1000, ms%1000)
	return errors.Join(
		l.log.OutputLogFormatVersion(),
		l.log.OutputComment("[StartTime: "+seconds+", "+start.UTC().Format(time.RFC3339)+"]"),
		l.log.OutputComment("[BaseTime: "+seconds+"]"),
		l.log.OutputLegend(),
		l.out.Flush())
}

// Series returns the series of a tag, the same one for the same tag.
func (l *Latency) Series(tag string) (*Series, error) {
	if !tagForm.MatchString(tag) {
		return nil, fmt.Errorf("the latency tag %q may hold only letters, digits and _ . : / = -", tag)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.series {
		if s.tag == tag {
			return s, nil
		}
	}
	s := &Series{tag: tag, now: hdr.NewPacked(lowestNS, highestNS, digits)}
	l.series = append(l.series, s)
	return s, nil
}

// Record counts one latency.
func (s *Series) Record(d time.Duration) {
	ns := max(int64(d), 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ns > highestNS {
		ns = highestNS
		s.over++
	}
	if s.now.RecordValue(ns) != nil {
		s.failed++
	}
}

// take returns the values since the last take, and starts anew with spare.
func (s *Series) take(spare *hdr.PackedHistogram) *hdr.PackedHistogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.now
	s.now = spare
	return h
}

// Close writes the last interval and closes the file. It fails if a value could not be recorded or written.
func (l *Latency) Close() error {
	close(l.stop)
	return <-l.done
}

func (l *Latency) write(from time.Time) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var err error
	for {
		select {
		case to := <-tick.C:
			if err == nil {
				err = l.interval(from, to)
			}
			from = to
		case <-l.stop:
			if err == nil {
				err = l.interval(from, time.Now())
			}
			err = errors.Join(err, l.finish(), l.out.Flush(), l.file.Close())
			if err != nil {
				err = fmt.Errorf("writing the latency log: %w", err)
			}
			l.done <- err
			return
		}
	}
}

// interval writes the lines of one second; a series without values has none.
func (l *Latency) interval(from, to time.Time) error {
	l.mu.Lock()
	series := slices.Clone(l.series)
	l.mu.Unlock()
	total := hdr.NewPacked(lowestNS, highestNS, digits)
	for _, s := range series {
		h := s.take(hdr.NewPacked(lowestNS, highestNS, digits))
		if h.TotalCount() == 0 {
			continue
		}
		if dropped := total.Merge(h); dropped > 0 {
			return fmt.Errorf("%d values of %s did not fit into the total", dropped, s.tag)
		}
		if err := l.line(h, s.tag, from, to); err != nil {
			return err
		}
	}
	if total.TotalCount() == 0 {
		return nil
	}
	if err := l.line(total, "", from, to); err != nil {
		return err
	}
	return l.out.Flush()
}

func (l *Latency) line(h *hdr.PackedHistogram, tag string, from, to time.Time) error {
	h.SetTag(tag)
	h.SetStartTimeMs(from.UnixMilli())
	h.SetEndTimeMs(to.UnixMilli())
	return l.log.OutputIntervalPackedHistogram(h)
}

// finish says in a comment how many values lay above the range, and fails if one was refused: the one that is missing
// would be the one that matters.
func (l *Latency) finish() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var over, failed int64
	for _, s := range l.series {
		s.mu.Lock()
		over, failed = over+s.over, failed+s.failed
		s.mu.Unlock()
	}
	if failed > 0 {
		return fmt.Errorf("%d latencies were refused by the histogram", failed)
	}
	return l.log.OutputComment(fmt.Sprintf("[Wedsync: %d values above %d ns were recorded as %d ns]", over, highestNS, highestNS))
}
