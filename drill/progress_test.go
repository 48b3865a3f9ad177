package drill

import (
	"strings"
	"testing"
	"time"
)

func TestProgressIsPlainWithoutATerminal(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out, false)
	p.begin("region-kill", time.Now().Add(time.Minute))
	p.enter("fault 1/3", time.Now().Add(8*time.Second))
	p.inForce([]string{"kill-ap (pod-kill)"})
	p.show(Status{Vendors: 1200, Joined: 2280, Homes: 2280}) // too soon after the last line: not shown
	p.every = 0
	p.show(Status{Vendors: 1200, Joined: 2280, Homes: 2280, Urgent: LaneCount{Sent: 7, Expected: 77, Delivered: 70, Late: 2, Pending: 4}})
	p.note("said aloud")
	p.end()
	text := out.String()
	if strings.Contains(text, "\x1b") {
		t.Fatalf("escape sequences in plain output: %q", text)
	}
	for _, want := range []string{"fault 1/3", "left <=8s", "kill-ap (pod-kill)", "vendors 1200 (sessions 2280 of 2280)", "urgent sent 7 delivered 70 late 2 lost 3", "said aloud"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines != 4 {
		t.Errorf("%d lines, want 4:\n%s", lines, text)
	}
}

func TestProgressRedrawsOnATerminal(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out, true)
	p.begin("steady", time.Now())
	p.enter("before", time.Now())
	p.show(Status{Vendors: 1})
	if !strings.Contains(out.String(), "\x1b[5A\x1b[J") {
		t.Fatalf("the block of five lines was not redrawn in place: %q", out.String())
	}
}
