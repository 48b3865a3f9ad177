package filter

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

// TestLike holds both ways of searching to LIKE's definition: the simple one, and run on however short a text.
func TestLike(t *testing.T) {
	tokens := rapid.SampledFrom([]string{"a", "b", "A", "é", "É", "_", "_", `\%`, `\_`, `\\`, "%"})
	rapid.Check(t, func(t *rapid.T) {
		// Few different characters and up to three words of bits, so that parts nearly match.
		pattern := strings.Join(rapid.SliceOfN(tokens, 0, 150).Draw(t, "pattern"), "")
		text := rapid.StringOfN(rapid.RuneFrom([]rune("aabAéÉ%_\\")), 0, 200, -1).Draw(t, "text")
		fold := rapid.Bool().Draw(t, "fold")
		l, err := compileLike(pattern, fold)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := l.match(text), likeOracle(pattern, text, fold); got != want {
			t.Fatalf("%q LIKE %q: %v, want %v", text, pattern, got, want)
		}
		for i := range l.parts {
			if p := &l.parts[i]; p.places != nil && len(p.runes) > 0 && len(text)*len(p.runes) <= longSearch {
				if simple, run := l.find(p, text), l.run(p, text); simple != run {
					t.Fatalf("part %q in %q ends at %d, and by run at %d", string(p.runes), text, simple, run)
				}
			}
		}
	})
}

// TestWorstPatterns: long values against patterns made to hurt.
func TestWorstPatterns(t *testing.T) {
	text := strings.Repeat("a", 1<<17)
	start := time.Now()
	for _, filter := range []string{
		"c=like." + strings.Repeat("%a", 499) + "b", "c=like.%" + strings.Repeat("a", 900) + "b%", "c=like.%" + strings.Repeat("a_", 40) + "b%",
		"c=like.%" + strings.Repeat("_", 900) + "b%",
		"c=ilike." + strings.Repeat("%a", 499) + "b", "c=ilike.%" + strings.Repeat("A", 980) + "b%", "c=match.(a?){40}b", "c=match.(a*)*b", "c=match.(a|aa)+$b", "c=match.(.*)(.*)(.*)b",
	} {
		if matches(t, filter, "text", text, false) {
			t.Errorf("%.20s… matches", filter)
		}
	}
	// Too much work for one value: neither a match nor its negation, though one is true.
	text = strings.Repeat(text, 8)
	if large := "match.(a?){400}b"; matches(t, "c="+large, "text", text, false) || matches(t, "c=not."+large, "text", text, false) {
		t.Error("an expression of a thousand instructions is held against a megabyte")
	}
	if took := time.Since(start); took > 30*time.Second { // going back would take years
		t.Errorf("took %v", took)
	}
}

// likeOracle is LIKE by its definition, a table of which prefix of the pattern matches which of the text.
func likeOracle(pattern, text string, fold bool) bool {
	type token struct {
		r   rune
		any bool // r is % or _
	}
	var tokens []token
	escaped := false
	for _, r := range pattern {
		if r == '\\' && !escaped {
			escaped = true
			continue
		}
		tokens = append(tokens, token{r, !escaped && (r == '%' || r == '_')})
		escaped = false
	}
	lower := func(r rune) rune {
		if fold {
			return unicode.ToLower(r)
		}
		return r
	}
	runes := []rune(text)
	reached := make([]bool, len(runes)+1) // reached[i]: the tokens so far match runes[:i]
	reached[0] = true
	for _, token := range tokens {
		next := make([]bool, len(runes)+1)
		for i := range next {
			switch {
			case token.any && token.r == '%':
				next[i] = reached[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = reached[i-1] && (token.any || lower(token.r) == lower(runes[i-1]))
			}
		}
		reached = next
	}
	return reached[len(runes)]
}
