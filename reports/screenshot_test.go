package reports

import (
	"flag"
	"testing"
)

var keep = flag.String("keep", "", "write a realistic synthetic bundle into this folder, to look at its report")

// TestKeep makes a bundle to look at: go test ./reports -run TestKeep -keep /tmp/bundle.
func TestKeep(t *testing.T) {
	if *keep == "" {
		t.Skip("no -keep folder given")
	}
	newSynthetic(100, 12, 3, false).write(t, *keep)
	if err := Write(*keep); err != nil {
		t.Fatal(err)
	}
}
