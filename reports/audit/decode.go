package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// decode reads one line strictly: known fields only, one object, nothing behind it.
func decode(line []byte, rec *Record) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(rec); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value on the line")
	}
	return rec.validate()
}
