package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// ErrTruncated says that the history has no end line: the run was killed. The records before the cut were handed out.
var ErrTruncated = errors.New("the history has no end line: the run did not finish")

// maxLine bounds a line, so that a damaged file cannot claim all memory.
const maxLine = 1 << 20

// Read hands out the records of a history in file order, compressed or not. It is strict: the first line must be a run,
// the last one an end whose counts agree with the lines before it, and everything between must be spelled as Append
// spells it. Errors name the line. An error of each ends the reading and is returned as it is.
func Read(r io.Reader, each func(Record) error) error {
	in := bufio.NewReader(r)
	magic, _ := in.Peek(2)
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return read(in, each)
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return fmt.Errorf("history: opening the compressed stream: %w", err)
	}
	defer z.Close()
	return read(z, each)
}

func read(r io.Reader, each func(Record) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	cut := false // the last line lacks its newline: what a killed writer leaves behind, and no line
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		if atEOF {
			cut = len(data) > 0
			return len(data), nil, nil
		}
		return 0, nil, nil
	})
	var n [kinds]int64
	number, ended := 0, false
	for lines.Scan() {
		number++
		rec, err := Parse(lines.Bytes())
		switch {
		case err != nil:
		case ended:
			err = errors.New("a record after the end record")
		case (number == 1) != (rec.Kind == Run):
			err = errors.New("the first line, and no other, must be the run record")
		case rec.Kind == End:
			ended = true
			err = rec.agrees(&n)
		}
		if err != nil {
			return fmt.Errorf("history line %d: %w", number, err)
		}
		n[rec.Kind]++
		if err := each(rec); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ended && err == nil && cut:
		return fmt.Errorf("history line %d: something follows the end record", number+1)
	case ended && err == nil:
		return nil
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("history after line %d: %w", number, ErrTruncated)
	default:
		return fmt.Errorf("history after line %d: %w", number, err)
	}
}

// agrees compares the counts of an end record with the lines that were read.
func (r *Record) agrees(n *[kinds]int64) error {
	for _, c := range []struct {
		kind Kind
		says int64
	}{{Pub, r.Pubs}, {Done, r.Dones}, {Recv, r.Recvs}, {Dup, r.Dups}, {Bulk, r.Bulks}} {
		if n[c.kind] != c.says {
			return fmt.Errorf("the end record counts %d %s records, the file holds %d", c.says, c.kind, n[c.kind])
		}
	}
	return nil
}
