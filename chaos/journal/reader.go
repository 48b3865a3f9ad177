package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// maxLine bounds one line, so that a damaged file cannot eat the memory.
const maxLine = 1 << 20

// ErrTorn is in the error of a journal whose last line has no end: its writer died while writing.
var ErrTorn = errors.New("the last line is incomplete")

// Read reads a whole journal and is strict: an unknown key, an unknown event, a gap in the
// sequence, time running backwards, or an injection whose lines are out of order is an error that
// names the line. The entries before the error are returned with it, so that a damaged journal
// can still be reverted.
func Read(r io.Reader) ([]Entry, error) {
	br := bufio.NewReader(r)
	lives := make(lives)
	var entries []Entry
	var last Entry
	for n := 1; ; n++ {
		line, err := readLine(br)
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return entries, fmt.Errorf("chaos journal line %d: %w", n, err)
		}
		e, err := parse(line)
		if err == nil {
			err = follows(&last, &e)
		}
		if err == nil {
			err = lives.check(&e)
		}
		if err != nil {
			return entries, fmt.Errorf("chaos journal line %d: %w", n, err)
		}
		lives.step(&e)
		entries = append(entries, e)
		last = e
	}
}

// ReadFile is Read on the file of this path.
func ReadFile(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the chaos journal: %w", err)
	}
	defer f.Close()
	return Read(f)
}

// readLine returns the next line without its newline, or io.EOF at a clean end.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		case err == nil:
			return line[:len(line)-1], nil
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, ErrTorn
		default:
			return nil, err
		}
	}
}

// parse decodes one line and checks it by itself.
func parse(line []byte) (Entry, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	var e Entry
	if err := dec.Decode(&e); err != nil {
		return e, fmt.Errorf("not a journal entry: %w", err)
	}
	if dec.More() {
		return e, errors.New("more than one JSON value")
	}
	return e, e.check()
}

// follows checks that e can stand directly after last.
func follows(last, e *Entry) error {
	switch {
	case e.Seq != last.Seq+1:
		return fmt.Errorf("seq is %d, want %d: lines are missing or out of order", e.Seq, last.Seq+1)
	case e.T <= 0 || e.T < last.T:
		return fmt.Errorf("t is %d after %d: time does not run backwards", e.T, last.T)
	}
	return nil
}

// lives follows each injection from its intent on: the last event of each.
type lives map[uint64]Event

// directlyAfter says which events of an injection may stand directly before each.
var directlyAfter = map[Event][]Event{
	EventIntent:       {""},
	EventInjected:     {EventIntent},
	EventProved:       {EventInjected, EventProved, EventUnproved},
	EventUnproved:     {EventInjected, EventProved, EventUnproved, EventReverted},
	EventReverting:    {EventIntent, EventInjected, EventProved, EventUnproved, EventRevertFailed},
	EventReverted:     {EventReverting},
	EventRevertFailed: {EventReverting},
	EventGone:         {EventReverted, EventUnproved},
}

// check says whether e may be the next line of its injection.
func (l lives) check(e *Entry) error {
	before := l[e.Injection]
	switch {
	case !e.Event.ofInjection() || slices.Contains(directlyAfter[e.Event], before):
		return nil
	case before == "":
		return fmt.Errorf("%s of injection %d, which has no intent", e.Event, e.Injection)
	}
	return fmt.Errorf("%s of injection %d directly after its %s", e.Event, e.Injection, before)
}

// step takes e in, which check has let pass.
func (l lives) step(e *Entry) {
	if e.Event.ofInjection() {
		l[e.Injection] = e.Event
	}
}
