package claim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Drill is the part of a drill file that a report needs. The rest of the file belongs to package drill.
type Drill struct {
	Name   string
	Title  string
	Claims []Claim
	Faults bool // it names an experiment or actions; without them its phases only divide the run
}

// Parse reads the name, the title and the claims of a drill file. file is only used in errors, which
// read `file:line: path: what`; all of them are returned at once.
func Parse(file string, data []byte) (*Drill, error) {
	var doc struct {
		Metadata struct {
			Name string `yaml:"name"`
		} `yaml:"metadata"`
		Title      string      `yaml:"title"`
		Experiment string      `yaml:"experiment"`
		Actions    []yaml.Node `yaml:"actions"`
		Claims     yaml.Node   `yaml:"claims"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	claims, err := ParseClaims(file, &doc.Claims)
	if doc.Metadata.Name == "" {
		err = errors.Join(fmt.Errorf("%s:1: metadata.name: missing; the drill's bundle is named after it", file), err)
	}
	if err != nil {
		return nil, err
	}
	return &Drill{Name: doc.Metadata.Name, Title: doc.Title, Claims: claims, Faults: doc.Experiment != "" || len(doc.Actions) > 0}, nil
}

// ParseClaims reads a `claims:` block. An absent block is no claims, which can never pass.
func ParseClaims(file string, block *yaml.Node) ([]Claim, error) {
	if block.Kind == 0 {
		return nil, nil
	}
	if block.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("%s:%d: claims: must be a list of claims", file, block.Line)
	}
	var (
		claims []Claim
		errs   []error
		lineOf = map[string]int{}
	)
	for i, node := range block.Content {
		bad := func(line int, field, format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s:%d: claims[%d]%s: %s", file, line, i, field, fmt.Sprintf(format, args...)))
		}
		c := parseClaim(node, bad)
		if c == nil {
			continue
		}
		c.validate(func(field, format string, args ...any) { bad(node.Line, "."+field, format, args...) })
		if first, taken := lineOf[c.ID]; taken {
			bad(node.Line, ".id", "%q is taken by the claim on line %d", c.ID, first)
		}
		lineOf[c.ID] = node.Line
		claims = append(claims, *c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return claims, nil
}

// fields are the keys of a claim, each with the decoder of its value.
var fields = map[string]func(c *Claim, v *yaml.Node) error{
	"id":         func(c *Claim, v *yaml.Node) error { return v.Decode(&c.ID) },
	"says":       func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Says) },
	"kind":       func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Kind) },
	"lane":       func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Lane) },
	"population": func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Population) },
	"of":         func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Of) },
	"phases":     func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Phases) },
	"at_least":   func(c *Claim, v *yaml.Node) error { return v.Decode(&c.AtLeast) },
	"at_most":    func(c *Claim, v *yaml.Node) error { return v.Decode(&c.AtMost) },
	"metric":     func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Metric) },
	"region":     func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Region) },
	"from":       func(c *Claim, v *yaml.Node) error { return v.Decode(&c.From) },
	"back":       func(c *Claim, v *yaml.Node) error { return v.Decode(&c.Back) },
	"within": func(c *Claim, v *yaml.Node) (err error) {
		if c.Within, err = time.ParseDuration(v.Value); err != nil {
			return fmt.Errorf("%q is not a duration such as 200ms or 2s", v.Value)
		}
		if c.Within == 0 {
			return errors.New("0 can never hold; leave the field away if there is no limit")
		}
		return nil
	},
}

// parseClaim reads one claim and sets the defaults; nil if anything in it could not be read.
func parseClaim(node *yaml.Node, bad func(line int, field, format string, args ...any)) *Claim {
	if node.Kind != yaml.MappingNode {
		bad(node.Line, "", "must be a mapping with id, says, kind, …")
		return nil
	}
	c := &Claim{Population: All, AtLeast: 1, Line: node.Line}
	readable := true
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		decode, known := fields[key.Value]
		var problem string
		switch {
		case !known:
			problem = "unknown field; a claim has " + strings.Join(fieldNames(), ", ")
		case seen[key.Value]:
			problem = "given twice"
		default:
			if err := decode(c, value); err != nil {
				problem = err.Error()
			}
		}
		seen[key.Value] = true
		if problem != "" {
			bad(key.Line, "."+key.Value, "%s", problem)
			readable = false
		}
	}
	if !readable {
		return nil
	}
	if c.Kind == Flat && !seen["at_least"] {
		c.AtLeast = FlatBlocks
	}
	return c
}

func fieldNames() []string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
