// Package audit is the raw file of what every node's log held when a drill ended: raw/log.jsonl.gz.
//
// The drill asks each node for its log (GET /admin/log) after the drain and writes one line per stored
// message. The report compares it with what publishers were told: a message that was acknowledged must
// be in the logs of two regions, the second of which stored it before the publisher's ok, and a region
// that came back must hold it on every node.
//
//	{"node":"eu-west-1","region":"eu-west","lane":"urgent","id":"w001/planner-1/u17","room":"private:w001","origin":"us-east-1","seq":17,"stored_wall_ns":1763927000123456789}
//
// A node that holds nothing still answers, which is not the same as a node that was never asked. So
// each node's part of the file begins with a line that has a node, a region and nothing else:
//
//	{"node":"eu-west-1","region":"eu-west"}
//
// Times are the wall clock of the storing server, since that is what a log stores; the report converts
// them by the anchors of the history.
package audit

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Record is one line: a message in one node's log, or, without an ID, the fact that the node was asked.
type Record struct {
	Node         string `json:"node"`
	Region       string `json:"region"`
	Lane         string `json:"lane,omitempty"`
	ID           string `json:"id,omitempty"`
	Room         string `json:"room,omitempty"`
	Origin       string `json:"origin,omitempty"`
	Seq          uint64 `json:"seq,omitempty"`
	StoredWallNS int64  `json:"stored_wall_ns,omitempty"`
}

// Asked reports whether the record only says that its node's log was read.
func (r *Record) Asked() bool { return r.ID == "" }

func (r *Record) validate() error {
	switch {
	case r.Node == "" || r.Region == "":
		return errors.New("node and region are needed on every line")
	case r.Asked() && (*r != Record{Node: r.Node, Region: r.Region}):
		return errors.New("a message without an id")
	case !r.Asked() && r.Lane != "urgent" && r.Lane != "normal":
		return fmt.Errorf("lane %q is neither urgent nor normal", r.Lane)
	case !r.Asked() && r.StoredWallNS <= 0:
		return errors.New("stored_wall_ns is missing")
	}
	return nil
}

// Writer writes the file. It is not safe for concurrent use.
type Writer struct {
	file io.Closer // what Create opened; nil for NewWriter
	zip  *gzip.Writer
	buf  *bufio.Writer
	enc  *json.Encoder
}

// Create makes the file. Close closes it too.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("creating the log audit: %w", err)
	}
	w := NewWriter(file)
	w.file = file
	return w, nil
}

// NewWriter returns a Writer on w. The caller closes the Writer, then w.
func NewWriter(w io.Writer) *Writer {
	zip := gzip.NewWriter(w)
	buf := bufio.NewWriterSize(zip, 64<<10)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return &Writer{zip: zip, buf: buf, enc: enc}
}

// Asked notes that a node's log is being read; its messages follow.
func (w *Writer) Asked(node, region string) error {
	return w.Write(Record{Node: node, Region: region})
}

// Write appends one record.
func (w *Writer) Write(r Record) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("writing the log audit: %w: %+v", err, r)
	}
	if err := w.enc.Encode(&r); err != nil {
		return fmt.Errorf("writing the log audit: %w", err)
	}
	return nil
}

// Close ends the file; without it the file reads as truncated.
func (w *Writer) Close() error {
	err := errors.Join(w.buf.Flush(), w.zip.Close())
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	if err != nil {
		return fmt.Errorf("closing the log audit: %w", err)
	}
	return nil
}

// maxLine bounds a line; ids and rooms are short.
const maxLine = 64 << 10

// Read calls each with every record of the file, in order. An unknown field, an incomplete record or a
// truncated file is an error that names the line. It reads strictly because a line that is skipped is a
// message that is not checked.
func Read(r io.Reader, each func(*Record) error) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("reading the log audit: %w (the file must be gzip; was the drill killed while writing it?)", err)
	}
	lines := bufio.NewScanner(zip)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		var rec Record
		if err := decode(lines.Bytes(), &rec); err != nil {
			return fmt.Errorf("log audit line %d: %w", n, err)
		}
		if err := each(&rec); err != nil {
			return fmt.Errorf("log audit line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("log audit after line %d: %w", n, err)
	}
	return nil
}
