package auth

import (
	"net/http"
	"slices"
	"strings"
)

// rules is a policy file, ready to be asked. Asking allocates nothing.
type rules []rule

// allows finds the first rule that matches.
func (rs rules) allows(c *Claims, topic string, ext Extension, act Action) bool {
	for i := range rs {
		if rs[i].matches(c, topic, ext, act) {
			return rs[i].allow
		}
	}
	return false
}

// rule is one entry of a policy file. It matches if all of its parts do.
type rule struct {
	allow  bool // else it denies
	acts   []Action
	on     []Extension
	roles  []string // nil: every role
	topics []pattern
	where  []condition
	header []condition
}

// condition is a claim or a header that must have one of some values.
type condition struct {
	path   []string // of a claim; of a header its canonical name
	values []string
}

func (r *rule) matches(c *Claims, topic string, ext Extension, act Action) bool {
	return slices.Contains(r.acts, act) && slices.Contains(r.on, ext) &&
		(r.roles == nil || slices.Contains(r.roles, c.Role)) &&
		r.topicFits(c, topic) && r.claimsFit(c) && r.headersFit(c.Header)
}

func (r *rule) topicFits(c *Claims, topic string) bool {
	for _, p := range r.topics {
		if p.fits(topic, c) {
			return true
		}
	}
	return false
}

func (r *rule) claimsFit(c *Claims) bool {
	for i := range r.where {
		if !r.where[i].heldBy(c) {
			return false
		}
	}
	return true
}

func (w *condition) heldBy(c *Claims) bool {
	for _, value := range w.values {
		if c.holds(w.path, value) {
			return true
		}
	}
	return false
}

func (r *rule) headersFit(h http.Header) bool {
	for i := range r.header {
		if !r.header[i].sentIn(h) {
			return false
		}
	}
	return true
}

func (w *condition) sentIn(h http.Header) bool {
	for _, value := range h[w.path[0]] {
		if slices.Contains(w.values, value) {
			return true
		}
	}
	return false
}

// pattern is what a topic must look like, segment by segment. A topic is always cut at its own
// colons and each part compared with what stands in the pattern: the value of a claim is never put
// into a pattern, so that it can neither bring a wildcard nor a further segment with it.
type pattern []segment

type segment struct {
	kind segmentKind
	text string   // of a literal
	path []string // of a claim
}

type segmentKind uint8

const (
	literal segmentKind = iota
	anyOne              // "*": one segment that is not empty
	anyRest             // "**": everything from here on, at least one segment
	claim               // "{claims.path}": a value of that claim
)

func (p pattern) fits(topic string, c *Claims) bool {
	for i := range p {
		s := &p[i]
		if s.kind == anyRest {
			return true // there is a segment: the loop ends when none is left
		}
		part, rest, more := strings.Cut(topic, ":")
		if !s.fits(part, c) {
			return false
		}
		if !more {
			return i == len(p)-1
		}
		topic = rest
	}
	return false // the topic goes on
}

func (s *segment) fits(part string, c *Claims) bool {
	switch s.kind {
	case literal:
		return part == s.text
	case anyOne:
		return part != ""
	default:
		return c.holds(s.path, part)
	}
}
