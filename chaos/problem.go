package chaos

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	File string
	Line int
	Path string // YAML path such as spec.selector.mode; empty for a whole document
	What string // what is wrong
	Do   string // what to do about it
}

// String is file:line: path: what is wrong; what to do.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What)
	if p.Do != "" {
		b.WriteString("; " + p.Do)
	}
	return b.String()
}

// Problems is the error of [Load] for files that are not valid.
type Problems []Problem

// Error has one problem a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// tidy sorts the problems of one document as they stand in the file, and drops repetitions: the
// layers overlap, and the webhook reports a field once for each struct that embeds it.
func (ps Problems) tidy() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	return slices.CompactFunc(ps, func(a, b Problem) bool {
		return a.Line == b.Line && a.Path == b.Path && a.What == b.What
	})
}

// and adds what another layer found about fields that had not been complained about: one voice is
// enough. What cannot name a field adds nothing to what can.
func (ps Problems) and(more Problems) Problems {
	known := slices.Clone(ps)
	for _, p := range more {
		if !known.on(p.Path) && (p.Path != "" || len(known) == 0) {
			ps = append(ps, p)
		}
	}
	return ps
}

// on reports whether there is a problem of this very path.
func (ps Problems) on(path string) bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Path == path })
}
