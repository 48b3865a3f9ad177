package protocol

import (
	"fmt"
	"strings"
)

// Version is the serialization of a socket, fixed when it opens.
type Version uint8

// The two serializations.
const (
	V1 Version = 1
	V2 Version = 2
)

// ParseVersion reads the query parameter vsn. Absent means 1.0.0; any patch level is accepted.
func ParseVersion(vsn string) (Version, error) {
	if vsn == "" {
		return V1, nil
	}
	if patch, ok := strings.CutPrefix(vsn, "1.0."); ok && isPatch(patch) {
		return V1, nil
	}
	if patch, ok := strings.CutPrefix(vsn, "2.0."); ok && isPatch(patch) {
		return V2, nil
	}
	return 0, fmt.Errorf("vsn %.20q is not supported: use 1.0.0 or 2.0.0", vsn)
}

func isPatch(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == ""
}

// String returns the value of the query parameter vsn.
func (v Version) String() string {
	switch v {
	case V1:
		return "1.0.0"
	case V2:
		return "2.0.0"
	}
	return fmt.Sprintf("Version(%d)", uint8(v))
}
