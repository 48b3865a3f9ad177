package reports

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The markers of a drill's section in EVIDENCE.md. Text outside of them belongs to people.
const (
	beginMark = "<!-- wedsync evidence: begin %s -->"
	endMark   = "<!-- wedsync evidence: end %s -->"
)

const evidenceHead = `# Evidence

What wedsync claims, what was measured, and how to compute it again. The sections between the markers are
written by ` + "`wedsync drill run --evidence`" + ` and checked by ` + "`wedsync verify --evidence`" + `: a figure that is changed
here, or in the raw data it comes from, is found.
`

// UpdateEvidence puts the figures of bundles into an EVIDENCE.md, which it creates if there is none. Each
// drill has a section; it is replaced in place, or appended. Everything else is left as it is.
func UpdateEvidence(file string, bundles ...string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(evidenceHead)
	} else if err != nil {
		return fmt.Errorf("updating the evidence: %w", err)
	}
	for _, dir := range bundles {
		s, err := Analyze(dir)
		if err != nil {
			return fmt.Errorf("updating the evidence from %s: %w", dir, err)
		}
		section, err := evidence(s, file, dir)
		if err != nil {
			return err
		}
		from, to, err := sectionOf(text, s.Drill)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if from < 0 {
			text = append(append(bytes.TrimRight(text, "\n"), "\n\n"...), section...)
			continue
		}
		text = bytes.Join([][]byte{text[:from], section, text[to:]}, nil)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return fmt.Errorf("updating the evidence: %w", err)
	}
	return nil
}

// sectionOf finds a drill's section, markers and final newline included; from is -1 if there is none.
func sectionOf(text []byte, drill string) (from, to int, err error) {
	begin, end := fmt.Sprintf(beginMark, drill), fmt.Sprintf(endMark, drill)
	from = bytes.Index(text, []byte(begin))
	close := bytes.Index(text, []byte(end))
	switch {
	case from < 0 && close < 0:
		return -1, -1, nil
	case from < 0 || close < from:
		return 0, 0, fmt.Errorf("the markers of %s do not match: restore %q and %q around its section, or remove both", drill, begin, end)
	case bytes.Count(text, []byte(begin)) > 1 || bytes.Count(text, []byte(end)) > 1:
		return 0, 0, fmt.Errorf("%s has more than one section; remove all but one", drill)
	}
	to = close + len(end)
	if to < len(text) && text[to] == '\n' {
		to++
	}
	return from, to, nil
}

// evidence renders the section of a drill for an EVIDENCE.md at file, which says where links lead from.
func evidence(s *Summary, file, dir string) ([]byte, error) {
	link, err := relative(filepath.Dir(file), dir)
	if err != nil {
		return nil, fmt.Errorf("linking %s from %s: %w", dir, file, err)
	}
	m := s.manifest
	var t bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&t, format+"\n", args...) }
	p(beginMark, s.Drill)
	p("## %s: %s", s.Drill, s.Verdict)
	p("")
	p("%s. %s", cell(orElse(s.Title, s.Drill)), cell(s.Says))
	p("")
	p("| claim | limit | measured | n | bound | verdict | raw data | recompute |")
	p("| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range s.Claims {
		var sources []string
		for _, f := range r.Source {
			sources = append(sources, fmt.Sprintf("[%s](%s/%s)", f, link, f))
		}
		p("| **%s**: %s | %s | %s | %d %s | %s | **%s** | %s | `wedsync verify %s` |", cell(r.Claim.ID), cell(r.Claim.Says), cell(r.Limit), cell(r.Measured),
			r.N, r.Unit, bound(r.Upper95), r.Verdict, strings.Join(sources, ", "), link)
	}
	p("")
	for _, r := range s.Claims {
		for _, why := range r.Why {
			p("- %s: %s", r.Claim.ID, cell(why))
		}
	}
	for _, c := range s.Checks {
		for _, why := range c.Why {
			p("- run, %s: %s", c.ID, cell(why))
		}
	}
	p("- Delivered: %d of %d due, %d lost; %d of them by replay after a failover. %d vendors of %d weddings, %d with one home.",
		s.Delivery.Received, s.Delivery.Due, s.Delivery.Lost, s.Delivery.ByReplay, s.Fleet.Vendors, s.Fleet.Weddings, s.Fleet.SingleHomed)
	p("- Network: %s.", cell(describe(&m.Network)))
	p("- Run `%s`, %s, %s on %s with %d cores, commit %s. [Report](%s/%s), [raw data](%s/raw), [hashes](%s/%s).", s.RunID,
		time.Unix(0, m.Start.WallNS).UTC().Format("2006-01-02 15:04 UTC"), m.Took().Round(time.Second), cell(orUnknown(m.Machine.CPU)), m.Machine.Cores,
		commit(m.Source), link, ReportFile, link, link, SumsFile)
	p("")
	p("“bound”: with %.0f %% confidence, the share of messages that miss is below this.", 100*confidence)
	p(endMark, s.Drill)
	return t.Bytes(), nil
}

// relative is the path of a bundle as a link in a Markdown file of dir.
func relative(dir, bundle string) (string, error) {
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(bundle)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(from, to)
	return filepath.ToSlash(rel), err
}

// cell keeps a text within one cell of a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "\r", " ", "<", "&lt;").Replace(s)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func bound(u *float64) string {
	if u == nil {
		return "–"
	}
	return percent(*u)
}

// percent writes a share so that small ones do not become nothing.
func percent(share float64) string {
	switch v := 100 * share; {
	case v >= 10:
		return fmt.Sprintf("%.0f %%", v)
	case v >= 1:
		return fmt.Sprintf("%.1f %%", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f %%", v)
	default:
		return fmt.Sprintf("%.2g %%", v)
	}
}

// describe says what lay between the regions.
func describe(n *Network) string {
	text := orElse(n.Description, n.Kind)
	var pairs []string
	for _, r := range n.RoundTrips {
		pairs = append(pairs, fmt.Sprintf("%s to %s %s", r.A, r.B, time.Duration(r.NS)))
	}
	if len(pairs) > 0 {
		text += fmt.Sprintf("; profile %s, round trips %s", n.Profile, strings.Join(pairs, ", "))
	}
	if n.AccessNS > 0 {
		text += fmt.Sprintf(", vendors to any region %s", time.Duration(n.AccessNS))
	}
	return text
}

func commit(s Source) string {
	switch {
	case s.Commit == "":
		return "unknown"
	case s.Dirty:
		return short(s.Commit) + " with changes"
	}
	return short(s.Commit)
}
