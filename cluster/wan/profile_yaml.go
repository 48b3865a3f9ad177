package wan

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// LoadProfile reads a profile file.
func LoadProfile(path string) (Profile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Profile{}, fmt.Errorf("reading the network profile: %w", err)
	}
	return ParseProfile(path, text)
}

// ParseProfile reads a profile in YAML. It is strict: an unknown or repeated key is an error. Errors begin with
// file:line, and all of them are reported at once.
func ParseProfile(file string, text []byte) (Profile, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Profile{}, fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Content) == 0 {
		return Profile{}, fmt.Errorf("%s: the profile is empty; it needs regions, access and round_trip", file)
	}
	d := profileDecoder{file: file}
	p := d.profile(doc.Content[0])
	if err := errors.Join(d.wrong...); err != nil {
		return Profile{}, err
	}
	if err := p.Validate(); err != nil {
		return Profile{}, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// profileDecoder walks the document, so that each error can name its line.
type profileDecoder struct {
	file  string
	wrong []error
}

func (d *profileDecoder) say(n *yaml.Node, format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Errorf("%s:%d: %s", d.file, n.Line, fmt.Sprintf(format, args...)))
}

func (d *profileDecoder) profile(n *yaml.Node) Profile {
	p := Profile{RoundTrips: make(map[Pair]time.Duration)}
	d.entries(n, "the profile", func(key, value *yaml.Node) {
		switch key.Value {
		case "name":
			p.Name = d.text(value, "name")
		case "source":
			p.Source = d.text(value, "source")
		case "regions":
			p.Regions = d.regions(value)
		case "access":
			p.Access = d.duration(value, "access")
		case "round_trip":
			d.roundTrips(value, p.RoundTrips)
		default:
			d.say(key, "unknown key %q: a profile has name, source, regions, access and round_trip", key.Value)
		}
	})
	if p.Access == 0 && len(d.wrong) == 0 && !has(n, "access") {
		p.Access = 10 * time.Millisecond
	}
	return p
}

func (d *profileDecoder) regions(n *yaml.Node) (regions []string) {
	if n.Kind != yaml.SequenceNode {
		d.say(n, "regions: a list of names is wanted")
		return nil
	}
	for _, item := range n.Content {
		name := d.text(item, "regions")
		if err := validRegion(name); err != nil {
			d.say(item, "regions: %v", err)
			continue
		}
		regions = append(regions, name)
	}
	return regions
}

func (d *profileDecoder) roundTrips(n *yaml.Node, into map[Pair]time.Duration) {
	d.entries(n, "round_trip", func(from, tos *yaml.Node) {
		d.entries(tos, "round_trip."+from.Value, func(to, value *yaml.Node) {
			into[Pair{from.Value, to.Value}] = d.duration(value, "round_trip."+from.Value+"."+to.Value)
		})
	})
}

// entries calls each with the keys and values of a mapping, and reports keys that repeat.
func (d *profileDecoder) entries(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.say(n, "%s: a mapping is wanted", what)
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if line, again := seen[key.Value]; again {
			d.say(key, "%s: %q is there twice, first in line %d", what, key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

func (d *profileDecoder) text(n *yaml.Node, what string) string {
	if n.Kind != yaml.ScalarNode {
		d.say(n, "%s: a text is wanted", what)
	}
	return n.Value
}

func (d *profileDecoder) duration(n *yaml.Node, what string) time.Duration {
	v, err := time.ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		d.say(n, "%s: %q is not a duration, write for example 70ms", what, n.Value)
	case v < 0:
		d.say(n, "%s: %v must not be negative", what, v)
	case v > time.Minute:
		d.say(n, "%s: %v is over a minute", what, v)
	}
	return v
}

func has(n *yaml.Node, key string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}
