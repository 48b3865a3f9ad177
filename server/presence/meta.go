package presence

import (
	"encoding/json"
	"slices"
	"strings"
)

// meta is an entry as the cluster knows it: with the dot of the change that brought it. It is never
// written to once others can see it, so that it can be read without a lock.
type meta struct {
	dot
	prev uint64 // seq of the meta that it replaced in place, 0 if none
	Entry
}

// append appends the meta as clients see it: the payload, and the references. They come last, so
// that they win over what a client may have put there under their names.
func (m *meta) append(dst []byte) []byte {
	dst = append(dst, m.Payload[:len(m.Payload)-1]...)
	if len(m.Payload) > len("{}") {
		dst = append(dst, ',')
	}
	dst = append(dst, `"phx_ref":"`...)
	dst = m.appendRef(dst)
	if m.prev != 0 {
		dst = append(dst, `","phx_ref_prev":"`...)
		dst = dot{m.node, m.incarnation, m.prev}.appendRef(dst)
	}
	return append(dst, `"}`...)
}

// jsonSize is about what append adds.
func (m *meta) jsonSize() int { return len(m.Payload) + 70 }

// sortMetas puts metas in the order in which appendMetas wants them.
func sortMetas(metas []*meta) {
	slices.SortFunc(metas, func(a, b *meta) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return a.compare(b.dot)
	})
}

// appendMetas appends {"key":{"metas":[…]},…} of the metas at or below path, and says how many these
// are. Metas of one key must be neighbours.
func appendMetas(dst []byte, metas []*meta, path string) ([]byte, int) {
	dst = append(dst, '{')
	n := 0
	var last *meta
	for _, m := range metas {
		if !m.at(path) {
			continue
		}
		switch {
		case last == nil:
			dst = appendKey(dst, m.Key)
		case last.Key == m.Key:
			dst = append(dst, ',')
		default:
			dst = append(dst, "]},"...)
			dst = appendKey(dst, m.Key)
		}
		dst = m.append(dst)
		last = m
		n++
	}
	if last != nil {
		dst = append(dst, "]}"...)
	}
	return append(dst, '}'), n
}

func appendKey(dst []byte, key string) []byte {
	return append(appendString(dst, key), `:{"metas":[`...)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always has a form
				return append(dst, `""`...)
			}
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}
