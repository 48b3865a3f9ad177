package scaling

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// MaxFile is the size of a policy file in bytes.
const MaxFile = 256 << 10

// Parse reads a policy. It is strict, so that a misspelt limit is not a missing one, and tells all mistakes
// with their lines. file is for messages. An empty policy is the defaults.
func Parse(file string, text []byte) (*Policy, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%s: the policy is larger than %d bytes", file, MaxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var f policyFile
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, mistakes(file, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is a second document: a policy is one", file)
	}
	p := f.policy()
	if err := p.Validate(); err != nil {
		return nil, mistakes(file, err)
	}
	return p, nil
}

// typeName is how the YAML package ends a message about an unknown key.
var typeName = regexp.MustCompile(`field (\S+) not found in type \S+`)

// mistakes words errors as "file:line: what".
func mistakes(file string, err error) error {
	var all []error
	for line := range strings.Lines(strings.TrimPrefix(err.Error(), "yaml: ")) {
		line = strings.TrimSpace(line)
		if line == "" || line == "unmarshal errors:" {
			continue
		}
		line = typeName.ReplaceAllString(line, "unknown key $1: see docs/scaling.md for those that there are")
		sep := ": "
		if at, ok := strings.CutPrefix(line, "line "); ok {
			line, sep = at, ":"
		}
		all = append(all, errors.New(file+sep+line))
	}
	return errors.Join(all...)
}

// policyFile is the form of the file. What is nil was not given.
type policyFile struct {
	Default      capacityFile            `yaml:"default"`
	Regions      map[string]capacityFile `yaml:"regions"`
	StabilizeFor *duration               `yaml:"stabilize_for"`
	Tolerance    *float64                `yaml:"tolerance"`
	Calendar     []seasonFile            `yaml:"calendar"`
}

type capacityFile struct {
	Min         *int     `yaml:"min"`
	Max         *int     `yaml:"max"`
	Connections *float64 `yaml:"connections_per_replica"`
	Messages    *float64 `yaml:"messages_per_replica"`
}

type seasonFile struct {
	Name     string    `yaml:"name"`
	Dates    []Date    `yaml:"dates"`
	Weekdays []weekday `yaml:"weekdays"`
	Months   []month   `yaml:"months"`
	From     Clock     `yaml:"from"`
	To       Clock     `yaml:"to"`
	Zone     zone      `yaml:"zone"`
	Lead     *duration `yaml:"lead"`
	Factor   *float64  `yaml:"factor"`
	Floor    int       `yaml:"floor"`
	Regions  []string  `yaml:"regions"`
}

// policy fills in the defaults.
func (f *policyFile) policy() *Policy {
	p := &Policy{
		Default: f.Default.or(Capacity{
			Min: DefaultMin, Max: DefaultMax, Connections: DefaultConnections, Messages: DefaultMessages,
		}),
		Regions:      map[string]Capacity{},
		StabilizeFor: time.Duration(orElse(f.StabilizeFor, duration(DefaultStabilizeFor))),
		Tolerance:    orElse(f.Tolerance, DefaultTolerance),
	}
	for name, c := range f.Regions {
		p.Regions[name] = c.or(p.Default)
	}
	for _, s := range f.Calendar {
		p.Calendar = append(p.Calendar, s.season())
	}
	return p
}

func (c capacityFile) or(d Capacity) Capacity {
	return Capacity{Min: orElse(c.Min, d.Min), Max: orElse(c.Max, d.Max),
		Connections: orElse(c.Connections, d.Connections), Messages: orElse(c.Messages, d.Messages)}
}

func (s seasonFile) season() Season {
	season := Season{
		Name: s.Name, Dates: s.Dates, From: s.From, To: s.To, Zone: cmp.Or(s.Zone.Location, time.UTC),
		Lead: time.Duration(orElse(s.Lead, duration(DefaultLead))), Factor: orElse(s.Factor, 1), Floor: s.Floor, Regions: s.Regions,
	}
	for _, d := range s.Weekdays {
		season.Weekdays = append(season.Weekdays, time.Weekday(d))
	}
	for _, m := range s.Months {
		season.Months = append(season.Months, time.Month(m))
	}
	return season
}

func orElse[T any](given *T, otherwise T) T {
	if given == nil {
		return otherwise
	}
	return *given
}

// wrong is a mistake at a place; the YAML package collects errors of this type.
func wrong(at *yaml.Node, format string, args ...any) error {
	return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: ", at.Line) + fmt.Sprintf(format, args...)}}
}

type duration time.Duration

// UnmarshalYAML reads 90s, 5m or 1h30m.
func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return wrong(n, "%.40q is not a duration: write 90s, 5m or 1h30m", n.Value)
	}
	*d = duration(v)
	return nil
}

// UnmarshalYAML reads 2026-12-31.
func (d *Date) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		return wrong(n, "%.40q is not a date: write 2026-12-31", n.Value)
	}
	d.Year, d.Month, d.Day = t.Date()
	return nil
}

// UnmarshalYAML reads 17:30.
func (c *Clock) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse("15:04", n.Value)
	if err != nil {
		return wrong(n, "%.40q is not a time of day: write 17:30, in quotes", n.Value)
	}
	c.Hour, c.Minute = t.Hour(), t.Minute()
	return nil
}

type zone struct{ *time.Location }

// UnmarshalYAML reads Europe/London.
func (z *zone) UnmarshalYAML(n *yaml.Node) error {
	l, err := time.LoadLocation(n.Value)
	if err != nil || n.Value == "" || n.Value == "Local" { // what is local differs from node to node
		return wrong(n, "%.40q is not a time zone: write one such as Europe/London or UTC", n.Value)
	}
	z.Location = l
	return nil
}

type weekday time.Weekday

// UnmarshalYAML reads saturday or sat.
func (d *weekday) UnmarshalYAML(n *yaml.Node) error {
	i := indexOfName(n.Value, 7, func(i int) string { return time.Weekday(i).String() })
	if i < 0 {
		return wrong(n, "%.40q is not a weekday: write saturday", n.Value)
	}
	*d = weekday(i)
	return nil
}

type month time.Month

// UnmarshalYAML reads june or jun.
func (m *month) UnmarshalYAML(n *yaml.Node) error {
	i := indexOfName(n.Value, 12, func(i int) string { return time.Month(i + 1).String() })
	if i < 0 {
		return wrong(n, "%.40q is not a month: write june", n.Value)
	}
	*m = month(i + 1)
	return nil
}

// indexOfName finds an English name, whole or its first three letters, in any case.
func indexOfName(value string, n int, name func(int) string) int {
	for i := range n {
		if full := name(i); strings.EqualFold(value, full) || strings.EqualFold(value, full[:3]) {
			return i
		}
	}
	return -1
}
