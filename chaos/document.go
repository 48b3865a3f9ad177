package chaos

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is one YAML document of a file, kept with its lines so that every problem can say where.
type document struct {
	file   string
	before int // lines of the file before the text
	text   []byte
	root   *yaml.Node // the top mapping
}

// split cuts a file into documents at its --- lines, and parses each. Documents of comments only
// are passed over; a document that is not YAML, or not a mapping, is a problem.
func split(file string, text []byte) ([]*document, Problems) {
	var docs []*document
	var problems Problems
	for _, doc := range cut(file, text) {
		var top yaml.Node
		dec := yaml.NewDecoder(bytes.NewReader(doc.text))
		err := dec.Decode(&top)
		if err == io.EOF {
			continue
		}
		if err != nil {
			problems = append(problems, doc.notYAML(err))
			continue
		}
		if err := dec.Decode(new(yaml.Node)); err != io.EOF {
			problems = append(problems, Problem{File: file, Line: doc.before + 1,
				What: "a second document follows without a --- line", Do: "put --- before it"})
			continue
		}
		if len(top.Content) == 0 {
			continue
		}
		doc.root = top.Content[0]
		if doc.root.Kind == yaml.ScalarNode && doc.root.Tag == "!!null" {
			continue
		}
		if doc.root.Kind != yaml.MappingNode {
			problems = append(problems, Problem{File: file, Line: doc.before + doc.root.Line,
				What: "this is not a resource: a mapping with apiVersion, kind, metadata and spec is expected", Do: "see chaos/experiments for examples"})
			continue
		}
		docs = append(docs, doc)
	}
	return docs, problems
}

// cut finds the --- lines. What stands behind --- on its line belongs to the document.
func cut(file string, text []byte) []*document {
	var docs []*document
	doc := &document{file: file}
	line := 0
	for rest := text; len(rest) > 0; line++ {
		l := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			l = rest[:i+1]
		}
		rest = rest[len(l):]
		if after, ok := bytes.CutPrefix(l, []byte("---")); ok && (len(after) == 0 || strings.ContainsRune(" \t\r\n", rune(after[0]))) {
			docs = append(docs, doc)
			doc = &document{file: file, before: line}
			l = after
		}
		doc.text = append(doc.text, l...)
	}
	return append(docs, doc)
}

// lineOf finds the line number in an error of the YAML parser.
var lineOf = regexp.MustCompile(`line (\d+): ?`)

// notYAML turns an error of a YAML parser into a problem with the line of the file.
func (d *document) notYAML(err error) Problem {
	what, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := lineOf.FindStringSubmatchIndex(what); m != nil {
		line, _ = strconv.Atoi(what[m[2]:m[3]])
		what = what[:m[0]] + what[m[1]:]
	}
	return Problem{File: d.file, Line: d.before + line, What: "not YAML: " + strings.TrimSpace(what),
		Do: "check the indentation, the quotes, and that tabs are not used"}
}

// problem makes a problem at a YAML path of this document. The line is that of the deepest part of
// the path that exists.
func (d *document) problem(path, do, format string, args ...any) Problem {
	node := d.find(path)
	return Problem{File: d.file, Line: d.before + node.Line, Path: path, What: fmt.Sprintf(format, args...), Do: do}
}

// find returns the node of a path such as spec.templates[1].name: the key where there is one, else
// the item, else the deepest ancestor that exists. Keys may hold dots, as label names do.
func (d *document) find(path string) *yaml.Node {
	found, value := d.root, d.root
	for path != "" {
		key, next, rest := step(value, path)
		if key == nil {
			break
		}
		found, value, path = key, next, rest
	}
	return found
}

// value is find for the value behind the key. It is nil if the path does not exist.
func (d *document) value(path string) *yaml.Node {
	value := d.root
	for path != "" {
		var key *yaml.Node
		if key, value, path = step(value, path); key == nil {
			return nil
		}
	}
	if value.Kind == yaml.AliasNode {
		return value.Alias
	}
	return value
}

var index = regexp.MustCompile(`^\[(\d+)\]\.?`)

// step takes the first key or index off the path and follows it.
func step(at *yaml.Node, path string) (key, value *yaml.Node, rest string) {
	if at.Kind == yaml.AliasNode {
		at = at.Alias
	}
	switch at.Kind {
	case yaml.SequenceNode:
		m := index.FindStringSubmatch(path)
		if m == nil {
			return nil, nil, ""
		}
		i, err := strconv.Atoi(m[1])
		if err != nil || i >= len(at.Content) {
			return nil, nil, ""
		}
		return at.Content[i], at.Content[i], path[len(m[0]):]
	case yaml.MappingNode:
		best := -1 // the longest key that fits, since keys may hold dots
		for i := 0; i+1 < len(at.Content); i += 2 {
			k := at.Content[i].Value
			after, ok := strings.CutPrefix(path, k)
			if ok && k != "" && (after == "" || after[0] == '.' || after[0] == '[') && (best < 0 || len(k) > len(at.Content[best].Value)) {
				best = i
			}
		}
		if best >= 0 {
			return at.Content[best], at.Content[best+1], strings.TrimPrefix(path[len(at.Content[best].Value):], ".")
		}
	}
	return nil, nil, ""
}

// repeated finds keys that a mapping holds twice; the decoder would keep one of them silently or
// name a line of a document instead of a file.
func (d *document) repeated() (problems Problems) {
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.SequenceNode:
			for i, item := range n.Content {
				walk(item, fmt.Sprintf("%s[%d]", path, i))
			}
		case yaml.MappingNode:
			first := make(map[string]int)
			for i := 0; i+1 < len(n.Content); i += 2 {
				key := n.Content[i]
				at := strings.TrimPrefix(path+"."+key.Value, ".")
				if line, ok := first[key.Value]; ok {
					problems = append(problems, Problem{File: d.file, Line: d.before + key.Line, Path: at,
						What: fmt.Sprintf("the key stands at line %d already", d.before+line), Do: "keep one of the two"})
				} else {
					first[key.Value] = key.Line
				}
				walk(n.Content[i+1], at)
			}
		}
	}
	walk(d.root, "")
	return problems
}

// sum is the fingerprint under which the journal remembers what was injected.
func (d *document) sum() string {
	sum := sha256.Sum256(d.text)
	return hex.EncodeToString(sum[:])
}
