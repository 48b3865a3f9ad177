package filter

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// like is a compiled pattern of LIKE: parts with a % between each two. Matching takes the leftmost place of
// each part and never goes back, and finds that place in one run over the text.
type like struct {
	fold  bool
	parts []part
}

// part is a piece of a pattern without %.
type part struct {
	runes   []rune // one is `anyRune`
	literal string // the same as text if there is no _ and case counts: found faster

	// For long texts: which of the runes a character may be, as bits, and those that any character may be.
	places    map[rune]*places
	elsewhere places
}

// places is a set of places in a part. A pattern has at most maxPattern bytes.
type places [maxPattern/64 + 1]uint64

func (p *places) add(i int) { p[i/64] |= 1 << (i % 64) }

// anyRune is _, which stands for one character.
const anyRune = -1

// compileLike reads % (anything), _ (one character) and \ (the next one as it is).
func compileLike(pattern string, fold bool) (*like, error) {
	l := &like{fold: fold}
	var runes []rune
	escaped := false
	for _, r := range pattern {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
			continue
		case r == '%':
			l.add(runes)
			runes = nil
			continue
		case r == '_':
			runes = append(runes, anyRune)
			continue
		}
		if fold {
			r = unicode.ToLower(r)
		}
		runes = append(runes, r)
	}
	if escaped {
		return nil, errors.New(`LIKE pattern must not end with escape character: write \\ for a backslash`)
	}
	l.add(runes)
	return l, nil
}

// add appends a part. Two % are one: what is empty counts at the ends only, where it says that the pattern is open.
func (l *like) add(runes []rune) {
	if n := len(l.parts); n > 1 && len(l.parts[n-1].runes) == 0 {
		l.parts = l.parts[:n-1]
	}
	p := part{runes: runes}
	if !l.fold && !slices.Contains(runes, anyRune) {
		p.literal = string(runes)
	} else {
		p.findPlaces()
	}
	l.parts = append(l.parts, p)
}

func (p *part) findPlaces() {
	p.places = make(map[rune]*places)
	for i, r := range p.runes {
		if r == anyRune {
			p.elsewhere.add(i)
		} else if p.places[r] == nil {
			p.places[r] = new(places)
		}
	}
	for r, at := range p.places {
		for i, want := range p.runes {
			if want == r || want == anyRune {
				at.add(i)
			}
		}
	}
}

// match says whether the whole text is as the pattern wants it.
func (l *like) match(text string) bool {
	first, last := &l.parts[0], &l.parts[len(l.parts)-1]
	at := l.at(first, text)
	if at < 0 {
		return false
	}
	if len(l.parts) == 1 {
		return at == len(text)
	}
	text = text[at:]
	for i := 1; i < len(l.parts)-1; i++ {
		end := l.find(&l.parts[i], text)
		if end < 0 {
			return false
		}
		text = text[end:]
	}
	// The last part has a fixed number of characters: it stands at the end or not at all.
	start := len(text)
	for range last.runes {
		if start == 0 {
			return false
		}
		_, size := utf8.DecodeLastRuneInString(text[:start])
		start -= size
	}
	return l.at(last, text[start:]) >= 0
}

// at says where the part ends that begins with the text, -1 if it does not.
func (l *like) at(p *part, text string) int {
	if p.literal != "" {
		if !strings.HasPrefix(text, p.literal) {
			return -1
		}
		return len(p.literal)
	}
	end := 0
	for _, want := range p.runes {
		if end == len(text) {
			return -1
		}
		r, size := utf8.DecodeRuneInString(text[end:])
		if l.fold {
			r = unicode.ToLower(r)
		}
		if want != anyRune && want != r {
			return -1
		}
		end += size
	}
	return end
}

// find says where the part ends at its leftmost place in the text, -1 if it is not there.
func (l *like) find(p *part, text string) int {
	if p.literal != "" {
		at := strings.Index(text, p.literal)
		if at < 0 {
			return -1
		}
		return at + len(p.literal)
	}
	if len(text)*len(p.runes) > longSearch {
		return l.run(p, text)
	}
	for start := range text {
		if end := l.at(p, text[start:]); end >= 0 {
			return start + end
		}
	}
	return -1
}

// longSearch is the number of steps from which on the bits of run pay.
const longSearch = 4096

// run is find in one run: it keeps, as bits, of how many runes of the part the text so far may end with.
func (l *like) run(p *part, text string) int {
	var reached places
	last := len(p.runes) - 1
	for end := 0; end < len(text); {
		r, size := utf8.DecodeRuneInString(text[end:])
		end += size
		if l.fold {
			r = unicode.ToLower(r)
		}
		fitting := p.places[r]
		if fitting == nil {
			fitting = &p.elsewhere
		}
		carry := uint64(1) // a match may begin with every character
		for w := range last/64 + 1 {
			reached[w], carry = (reached[w]<<1|carry)&fitting[w], reached[w]>>63
		}
		if reached[last/64]>>(last%64)&1 == 1 {
			return end
		}
	}
	return -1
}

// compareFolded orders two texts bytewise as if both were in lower case.
func compareFolded(a, b string) int {
	for a != "" && b != "" {
		runeA, sizeA := utf8.DecodeRuneInString(a)
		runeB, sizeB := utf8.DecodeRuneInString(b)
		if runeA, runeB = unicode.ToLower(runeA), unicode.ToLower(runeB); runeA != runeB {
			return int(runeA) - int(runeB) // UTF-8 keeps the order of code points
		}
		a, b = a[sizeA:], b[sizeB:]
	}
	return len(a) - len(b)
}
