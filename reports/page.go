package reports

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

//go:embed page.html.tmpl
var pageText string

//go:embed page.css
var pageStyle string

// addedStyle is for what not every run has; see Summary.
//
//go:embed page.added.css
var addedStyle string

var pageTemplate = template.Must(template.New(ReportFile).Funcs(template.FuncMap{
	"count": count, "lat": lat, "sec": sec, "after": after, "percent": percent, "bound": bound, "chip": chip, "commit": commit,
	"cores": cores, "growth": growth, "slope": slope,
	"join": func(l []string) string { return strings.Join(l, ", ") }, "short": short, "bytes": size, "duration": func(ns int64) string { return time.Duration(ns).String() },
	"together": together,
	"rawname": func(path string) string {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "raw/"), ".")
		return name
	},
	"date":    func(ns int64) string { return time.Unix(0, ns).UTC().Format("2 January 2006, 15:04:05 UTC") },
	"command": func(args []string) string { return strings.Join(args, " ") },
}).Parse(pageText))

// page renders report.html: one file without scripts, fonts or pictures from elsewhere, under a policy that
// forbids them. The same summary gives the same bytes.
func page(s *Summary) ([]byte, error) {
	style := pageStyle
	if s.more() {
		style += addedStyle
	}
	hash := sha256.Sum256([]byte(style))
	var text bytes.Buffer
	err := pageTemplate.Execute(&text, map[string]any{
		"S": s, "M": s.manifest, "Charts": s.charts, "NotShown": s.notShown(), "Tiles": s.tiles(),
		"Style": template.HTML("<style>" + style + "</style>"), // ours, embedded
		"Hash":  base64.StdEncoding.EncodeToString(hash[:]),
		"Class": verdictClass(s.Verdict), "Problems": s.shown(), "Listed": shownAtMost,
	})
	if err != nil {
		return nil, fmt.Errorf("rendering %s: %w", ReportFile, err)
	}
	return text.Bytes(), nil
}

// more reports whether there is anything on the page that not every run has. Pages of runs without it keep their bytes.
func (s *Summary) more() bool {
	return s.Bulk != nil || s.Pauses != nil || s.Moves != nil || len(s.Nodes) > 0 || len(s.Recoveries) > 0 ||
		slices.ContainsFunc(s.Injections, func(i InjectionRow) bool { return i.Did != "" })
}

// shownAtMost bounds the problems of each class on the page.
const shownAtMost = 8

func (s *Summary) shown() []Problem {
	n := map[claim.Flaw]int{}
	return slices.DeleteFunc(slices.Clone(s.Problems), func(p Problem) bool {
		n[p.Flaw]++
		return n[p.Flaw] > shownAtMost
	})
}

// tile is a headline figure.
type tile struct{ Label, Value, Note, Class string }

// tiles are the figures that a reader looks for first.
func (s *Summary) tiles() []tile {
	var all []tile
	curve := func(p claim.Population) *Curve {
		i := slices.IndexFunc(s.Latency, func(c Curve) bool { return c.Lane == claim.Urgent && c.Population == p })
		if i < 0 {
			return nil
		}
		return &s.Latency[i]
	}
	if c := curve(claim.All); c != nil {
		all = append(all, tile{"Urgent deliveries", count(c.Received()), "of " + count(c.Due) + " due", ""},
			tile{"Lost", count(s.Delivery.Lost), "of " + count(s.Delivery.Due) + " in both lanes", badIf(s.Delivery.Lost > 0)})
	}
	if c := curve(claim.Connected); c != nil {
		all = append(all, tile{"Slowest, connected", slowest(c.Max), "p99 " + slowest(c.P99), badIf(c.Over200 > 0 || c.Lost > 0)})
	}
	for _, a := range s.Answers {
		if a.Lane == claim.Urgent {
			all = append(all, tile{"Slowest ok", slowest(a.Max), "p99 " + slowest(a.P99), badIf(a.Max == nil || *a.Max > 200e6)})
		}
	}
	proved := 0
	for _, i := range s.Injections {
		if i.Trouble == "" {
			proved++
		}
	}
	if n := len(s.Injections); n > 0 {
		all = append(all, tile{"Faults proved", fmt.Sprintf("%d of %d", proved, n), "and proved gone", badIf(proved < n)})
	}
	return append(all, tile{"Vendors", count(s.Fleet.Vendors), count(s.Fleet.DualHomed) + " dual-homed", ""})
}

// slowest is lat for a set that has values: where there is none, the rank falls on what never came.
func slowest(ns *int64) string {
	if ns == nil {
		return "never"
	}
	return ms(*ns)
}

func badIf(bad bool) string {
	if bad {
		return "bad"
	}
	return ""
}

// count writes a number with its thousands apart.
func count(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// lat writes a latency, or a dash where there is none.
func lat(ns *int64) string {
	if ns == nil {
		return "–"
	}
	return ms(*ns)
}

// together keeps figures together with their names and units where lines are broken.
func together(s string) string {
	return strings.NewReplacer(" ms", "\u00a0ms", "max ", "max\u00a0", "p99 ", "p99\u00a0", "p50 ", "p50\u00a0", "stall ", "stall\u00a0", "≤ ", "≤\u00a0", "≥ ", "≥\u00a0").Replace(s)
}

// sec writes an instant on the report's time axis.
func sec(ns *int64) string {
	if ns == nil {
		return "–"
	}
	return fmt.Sprintf("%.2f s", seconds(*ns))
}

// after writes how long after another instant something happened.
func after(ns, since *int64) string {
	if ns == nil || since == nil {
		return "–"
	}
	return "+" + ms(*ns-*since)
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// signs stand beside the colours of verdicts, for those who do not see them.
var signs = map[claim.Verdict]string{claim.Pass: "✓", claim.Fail: "✕", claim.Inconclusive: "?", claim.Insufficient: "∅", claim.Invalid: "!"}

func verdictClass(v claim.Verdict) string {
	if signs[v] == "" {
		return "invalid"
	}
	return strings.ToLower(string(v))
}

func chip(v claim.Verdict) template.HTML {
	return template.HTML(fmt.Sprintf(`<span class="chip %s"><span aria-hidden="true">%s</span> %s</span>`, verdictClass(v), signs[v], template.HTMLEscapeString(string(v))))
}
