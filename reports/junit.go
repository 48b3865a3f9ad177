package reports

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/wedsync/wedsync/reports/claim"
)

// The shape that CI systems read: a suite a drill, a case a claim or check.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit renders junit.xml. Whatever is not a PASS is red: a failure if it is about the claim, an error if
// the run itself cannot be believed.
func junit(s *Summary) ([]byte, error) {
	m := s.manifest
	took := fmt.Sprintf("%.3f", m.Took().Seconds())
	suite := junitSuite{
		Name: "wedsync." + s.Drill, Time: took, Timestamp: time.Unix(0, m.Start.WallNS).UTC().Format("2006-01-02T15:04:05"),
		Properties: []junitProperty{{"run", s.RunID}, {"commit", m.Source.Commit}, {"seed", fmt.Sprint(m.Seed)}, {"verdict", string(s.Verdict)}},
	}
	add := func(class, name string, v claim.Verdict, out string, why []string) {
		c := junitCase{Class: "wedsync." + s.Drill + "." + class, Name: name, Time: took, Out: out}
		if v != claim.Pass {
			p := &junitProblem{Message: strings.Join(why[:min(len(why), 1)], ""), Type: string(v), Text: strings.Join(why, "\n")}
			if v == claim.Invalid {
				c.Error = p
				suite.Errors++
			} else {
				c.Failure = p
				suite.Failures++
			}
		}
		suite.Tests++
		suite.Cases = append(suite.Cases, c)
	}
	for _, r := range s.Claims {
		add("claims", r.Claim.ID, r.Verdict, fmt.Sprintf("%s\nlimit %s, measured %s, n = %d %s", r.Claim.Says, r.Limit, r.Measured, r.N, r.Unit), r.Why)
	}
	for _, c := range s.Checks {
		add("run", c.ID, c.Verdict, c.Says, c.Why)
	}
	all := junitSuites{Tests: suite.Tests, Failures: suite.Failures, Errors: suite.Errors, Suites: []junitSuite{suite}}
	var text bytes.Buffer
	text.WriteString(xml.Header)
	enc := xml.NewEncoder(&text)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", JUnitFile, err)
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}
