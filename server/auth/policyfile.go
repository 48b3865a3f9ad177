package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxRules    = 1000
	maxMistakes = 20 // told at once
)

// parseRules reads a policy file. It is strict: what is not understood is an error, because a rule
// that is read differently than it was meant lets somebody in, or locks somebody out.
func parseRules(file string, text []byte) (rules, error) {
	p := &policyFile{name: file}
	root, err := p.document(text)
	if err != nil {
		return nil, err
	}
	var rs rules
	found := false
	p.entries(root, "the policy", func(key, value *yaml.Node) {
		if key.Value != "rules" {
			p.wrong(key, "unknown key %q: a policy has rules and nothing else", key.Value)
			return
		}
		found = true
		rs = p.rules(value)
	})
	if !found && len(p.mistakes) == 0 {
		p.wrong(root, "there are no rules: write rules: and a list below it")
	}
	return rs, errors.Join(p.mistakes...)
}

// policyFile collects what is wrong with a file while it is read.
type policyFile struct {
	name     string
	mistakes []error
}

func (p *policyFile) wrong(at *yaml.Node, format string, args ...any) {
	switch n := len(p.mistakes); {
	case n < maxMistakes:
		p.mistakes = append(p.mistakes, fmt.Errorf("%s:%d: %s", p.name, at.Line, fmt.Sprintf(format, args...)))
	case n == maxMistakes:
		p.mistakes = append(p.mistakes, fmt.Errorf("%s: and more mistakes below", p.name))
	}
}

// lineOf finds the line in an error of the YAML parser.
var lineOf = regexp.MustCompile(`line (\d+): ?`)

func (p *policyFile) document(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var top yaml.Node
	switch err := dec.Decode(&top); {
	case err == io.EOF || err == nil && len(top.Content) == 0:
		return nil, fmt.Errorf("%s:1: the policy is empty: write rules: and a list below it", p.name)
	case err != nil:
		what, line := strings.TrimPrefix(err.Error(), "yaml: "), "1"
		if m := lineOf.FindStringSubmatch(what); m != nil {
			what, line = strings.Replace(what, m[0], "", 1), m[1]
		}
		return nil, fmt.Errorf("%s:%s: this is not YAML: %s: check the indentation, the quotes, and that no tabs are used", p.name, line, what)
	}
	var second yaml.Node
	if err := dec.Decode(&second); err != io.EOF {
		return nil, fmt.Errorf("%s:%d: a policy is one document: remove what follows ---", p.name, max(1, second.Line))
	}
	return top.Content[0], nil
}

// entries calls each for every entry of a mapping.
func (p *policyFile) entries(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.wrong(n, "%s must be a mapping (key: value), it is %s", what, kindOf(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.wrong(key, "a key of %s must be a word, it is %s", what, kindOf(key))
		case seen[key.Value]:
			p.wrong(key, "%q is there twice in %s: keep one", key.Value, what)
		default:
			seen[key.Value] = true
			each(key, n.Content[i+1])
		}
	}
}

func (p *policyFile) rules(n *yaml.Node) rules {
	if n.Kind != yaml.SequenceNode {
		p.wrong(n, "rules must be a list (each begins with -), it is %s", kindOf(n))
		return nil
	}
	if len(n.Content) == 0 || len(n.Content) > maxRules {
		p.wrong(n, "there are %d rules: write 1 to %d; to refuse everything, deny every role and topic", len(n.Content), maxRules)
		return nil
	}
	rs := make(rules, 0, len(n.Content))
	for i, item := range n.Content {
		rs = append(rs, p.rule(item, "rules["+strconv.Itoa(i)+"]"))
	}
	return rs
}

func (p *policyFile) rule(n *yaml.Node, name string) rule {
	r := rule{on: []Extension{Broadcast, Presence}}
	decisions, roles, topics := 0, false, false
	p.entries(n, name, func(key, value *yaml.Node) {
		where := name + "." + key.Value
		switch key.Value {
		case "allow", "deny":
			decisions++
			r.allow = key.Value == "allow"
			r.acts = chosen(p, value, where, Read, Write)
		case "on":
			r.on = chosen(p, value, where, Broadcast, Presence)
		case "roles":
			roles = true
			r.roles = p.roles(value, where)
		case "topics":
			topics = true
			p.texts(value, where, func(item *yaml.Node) {
				r.topics = append(r.topics, p.pattern(item, where))
			})
		case "where":
			r.where = p.conditions(value, where, p.claimPath)
		case "headers":
			r.header = p.conditions(value, where, p.headerName)
		default:
			p.wrong(key, "unknown key %q in %s: a rule has allow or deny, on, roles, topics, where and headers", key.Value, name)
		}
	})
	if n.Kind != yaml.MappingNode {
		return r
	}
	if decisions != 1 {
		p.wrong(n, "%s needs either allow: or deny:, with read, write, or both", name)
	}
	if !roles {
		p.wrong(n, `%s needs roles: the roles that it is about, or "*" for every role`, name)
	}
	if !topics {
		p.wrong(n, `%s needs topics: a list of patterns, or "**" for every topic`, name)
	}
	return r
}

// chosen reads one or several of some words.
func chosen[T ~string](p *policyFile, n *yaml.Node, name string, from ...T) []T {
	var words []T
	p.texts(n, name, func(item *yaml.Node) {
		for _, w := range from {
			if string(w) == item.Value {
				words = append(words, w)
				return
			}
		}
		p.wrong(item, "%s: %q is not known: write %s, %s, or both", name, item.Value, from[0], from[1])
	})
	return words
}

func (p *policyFile) roles(n *yaml.Node, name string) []string {
	var roles []string
	every := false
	p.texts(n, name, func(item *yaml.Node) {
		every = every || item.Value == "*"
		roles = append(roles, item.Value)
	})
	if !every {
		return roles
	}
	if len(roles) > 1 {
		p.wrong(n, `%s: "*" is every role: write it alone, or name the roles`, name)
	}
	return nil
}

// texts calls each for a single text, or for every text of a list.
func (p *policyFile) texts(n *yaml.Node, name string, each func(item *yaml.Node)) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	if len(items) == 0 {
		p.wrong(n, "%s is an empty list: write at least one value, or remove the key", name)
	}
	seen := map[string]bool{}
	for _, item := range items {
		switch {
		case item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null":
			p.wrong(item, "%s takes a text or a list of texts, here is %s", name, kindOf(item))
		case item.Style&yaml.TaggedStyle != 0:
			p.wrong(item, "%s: tags such as %s are not read: write the plain text", name, item.Tag)
		case item.Value == "":
			p.wrong(item, "%s holds an empty text, which matches nothing: remove it", name)
		case seen[item.Value]:
			p.wrong(item, "%s holds %q twice: keep one", name, item.Value)
		default:
			seen[item.Value] = true
			each(item)
		}
	}
}

// conditions reads a mapping of names to the values that they may have.
func (p *policyFile) conditions(n *yaml.Node, name string, path func(key *yaml.Node, name string) []string) []condition {
	var all []condition
	p.entries(n, name, func(key, value *yaml.Node) {
		c := condition{path: path(key, name)}
		p.texts(value, name+"."+key.Value, func(item *yaml.Node) {
			c.values = append(c.values, p.value(item, name))
		})
		all = append(all, c)
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.wrong(n, "%s is empty: write at least one condition, or remove the key", name)
	}
	return all
}

// wholeNumber is a number that YAML and JSON write alike.
var wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// value is the text of a value as a token has it.
func (p *policyFile) value(n *yaml.Node, name string) string {
	switch n.ShortTag() {
	case "!!bool":
		return strings.ToLower(n.Value)
	case "!!int", "!!float":
		if !wholeNumber.MatchString(n.Value) {
			p.wrong(n, "%s: the number %s can be written in several ways: put it in quotes, exactly as it stands in the token", name, n.Value)
		}
	}
	return n.Value
}

// claimWord is one key of a claim's path.
var claimWord = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (p *policyFile) claimPath(key *yaml.Node, name string) []string {
	path := strings.Split(key.Value, ".")
	for _, word := range path {
		if !claimWord.MatchString(word) {
			p.wrong(key, "%s: %q is not the path of a claim: write words of A-Z a-z 0-9 _ - with dots between, such as app_metadata.vendor_type", name, key.Value)
			return nil
		}
	}
	return path
}

func (p *policyFile) headerName(key *yaml.Node, name string) []string {
	if word := strings.ToLower(key.Value); !strings.HasPrefix(word, "x-") || !claimWord.MatchString(word) {
		p.wrong(key, "%s: %q cannot be asked for: only headers that begin with x- are kept", name, key.Value)
	}
	return []string{http.CanonicalHeaderKey(key.Value)}
}

// pattern compiles a topic pattern.
func (p *policyFile) pattern(n *yaml.Node, name string) pattern {
	var compiled pattern
	parts := strings.Split(n.Value, ":")
	for i, part := range parts {
		s := segment{kind: literal, text: part}
		inner, isClaim := strings.CutPrefix(part, "{claims.")
		inner, isClosed := strings.CutSuffix(inner, "}")
		switch {
		case part == "*":
			s = segment{kind: anyOne}
		case part == "**" && i == len(parts)-1:
			s = segment{kind: anyRest}
		case part == "**":
			p.wrong(n, "%s: %q: ** is all that is left of a topic: it can only be the last segment", name, n.Value)
		case part == "":
			p.wrong(n, "%s: %q has an empty segment: remove a colon, or write *", name, n.Value)
		case isClaim && isClosed:
			s = segment{kind: claim, path: p.claimPath(&yaml.Node{Value: inner, Line: n.Line}, name)}
		case strings.ContainsAny(part, "{}"):
			p.wrong(n, "%s: %q: a claim is a whole segment and written {claims.PATH}, for example wedding:{claims.wedding_id}", name, n.Value)
		case strings.Contains(part, "*"):
			p.wrong(n, "%s: %q: a * stands alone between colons", name, n.Value)
		}
		compiled = append(compiled, s)
	}
	return compiled
}

// kindOf names what a node is, in words of a policy's author.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias (*" + n.Value + "), and those are not read: write it out"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return strconv.Quote(n.Value)
}
